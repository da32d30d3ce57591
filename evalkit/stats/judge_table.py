"""A judge beside the labels, as counts."""

from __future__ import annotations

from typing import NamedTuple


class JudgeTable(NamedTuple):
    """What a judge says of labelled samples, those left out of which it says nothing.

    Attributes:
        right_right: labelled right, and the judge says right.
        right_wrong: labelled right, and the judge says wrong.
        wrong_right: labelled wrong, and the judge says right.
        wrong_wrong: labelled wrong, and the judge says wrong.
    """

    right_right: int
    right_wrong: int
    wrong_right: int
    wrong_wrong: int

    @property
    def right(self) -> int:
        """Samples labelled right."""
        return self.right_right + self.right_wrong

    @property
    def wrong(self) -> int:
        """Samples labelled wrong."""
        return self.wrong_right + self.wrong_wrong
