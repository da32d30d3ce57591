"""One line of a figures table."""

from __future__ import annotations

from typing import NamedTuple

NONE = "not available"


class FigureRow(NamedTuple):
    """One line of a figures table; `n` is the denominator."""

    name: str
    value: str
    interval: str
    n: str
