"""The new run against its baseline in one metric: value, difference, and how sure that is."""

from evalkit.gate.contrasts.contrast import Contrast, Direction, Unavailable

__all__ = ["Contrast", "Direction", "Unavailable"]
