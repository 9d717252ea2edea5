"""A run and its terminal, apart: the run writes events to a file, whoever is interested follows it."""
