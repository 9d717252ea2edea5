"""The kvrocks component."""
