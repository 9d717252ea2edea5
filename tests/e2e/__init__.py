"""The promises, kept in a real machine: each scenario reads as a sentence, in the order of its file."""
