"""Inspect AI's logs: written for its viewer and its scorers, and read as evalkit's records."""
