"""A finished chart: its picture, its words and the figures that it shows, as plain data."""

from __future__ import annotations

import msgspec

Cell = str | int | float | None
Row = dict[str, Cell]
"""One mark or bar: what it is of, and its figures; all rows of a chart have the same keys."""


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """One chart of one benchmark.

    Attributes:
        name: what kind of chart, as part of a file's name: "accuracy-tool-rate".
        title: for people.
        caption: how to read it, and what is left out.
        alt: what it shows, in words.
        svg: for a page: colours are `var(--c1)` and so on, see `reports/static/colours.css`; ids are its own.
        data: the figures behind its marks.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    data: tuple[Row, ...]
