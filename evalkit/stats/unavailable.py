"""What a figure is when the data cannot give it: not available, and why."""

from __future__ import annotations


class StatsUnavailable(ValueError):
    """The arguments are sound, but the figure does not exist for these data.

    The one convention of `evalkit.stats`: a function returns the right figure, raises `StatsUnavailable` with a
    reason to print after "not available, because", or raises a plain `ValueError` when the caller is at fault
    (lengths that differ, NaN, a value out of range). No function returns NaN, and none warns.

    Attributes:
        reason: half a sentence in plain words, without a full stop.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
