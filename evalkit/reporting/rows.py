"""One line of a figures table."""

from __future__ import annotations

from typing import NamedTuple

from evalkit.analysis.shares import Share

NONE = "not available"


class FigureRow(NamedTuple):
    """One line of a figures table; `n` is the denominator."""

    name: str
    value: str
    interval: str
    n: str


def share_row(name: str, share: Share) -> FigureRow:
    """A share in percent with its interval."""
    if share.value is None:
        return FigureRow(name, NONE, "", "0")
    if share.low is None or share.high is None:
        return FigureRow(name, f"{share.value:.1%}", f"{NONE}: {share.why}", str(share.n))
    return FigureRow(name, f"{share.value:.1%}", f"{share.low:.1%} - {share.high:.1%}", str(share.n))
