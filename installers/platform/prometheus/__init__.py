"""The prometheus component."""
