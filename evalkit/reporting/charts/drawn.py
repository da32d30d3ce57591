"""A chart that is drawn and not yet written."""

from __future__ import annotations

from typing import NamedTuple

from evalkit.reporting.charts.chart import Row
from evalkit.reporting.charts.drawing import Drawing


class Drawn(NamedTuple):
    """A chart before it becomes SVG or PDF; see `Chart` for the words."""

    name: str
    title: str
    caption: str
    alt: str
    data: tuple[Row, ...]
    drawing: Drawing
