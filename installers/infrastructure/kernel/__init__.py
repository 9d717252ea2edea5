"""The kernel component."""
