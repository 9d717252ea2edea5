"""The kubernetes component."""
