"""Bridges: results made elsewhere, as evalkit's records; tasks and logs of other harnesses."""
