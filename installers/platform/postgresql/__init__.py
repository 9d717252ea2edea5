"""The postgresql component."""
