"""Bridges: results made elsewhere, as evalkit's records."""

from evalkit.bridges.deepeyes import Recording, read_recording

__all__ = ["Recording", "read_recording"]
