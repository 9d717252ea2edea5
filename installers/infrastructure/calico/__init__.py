"""The calico component."""
