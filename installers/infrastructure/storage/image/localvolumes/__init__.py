"""Local volumes: a directory of this node for each claim, found again when the same claim returns."""
