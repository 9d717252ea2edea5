"""Precheck: what must be so on a machine before anything is installed on it. Reads only."""
