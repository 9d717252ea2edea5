"""The local storage component."""
