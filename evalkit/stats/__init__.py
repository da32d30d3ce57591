"""Statistics: pure functions on counts and arrays."""

from evalkit.stats.intervals import Interval, wilson

__all__ = ["Interval", "wilson"]
