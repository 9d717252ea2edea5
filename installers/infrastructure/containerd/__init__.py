"""The containerd component."""
