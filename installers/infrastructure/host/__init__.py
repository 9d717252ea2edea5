"""The host component."""
