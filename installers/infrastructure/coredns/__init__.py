"""The cluster DNS component."""
