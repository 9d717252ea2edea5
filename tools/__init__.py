"""What building and releasing this program takes; not part of it."""
