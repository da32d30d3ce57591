"""The one style of all charts: colours, marks, hatches, and matplotlib's settings."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import matplotlib

from evalkit.content import content_dir

WIDTH = 600.0
"""Of every chart, in CSS pixels; matplotlib draws at 72 dots per inch, so that its points are pixels."""
SIZE = 12.5
"""Of text, in pixels."""

SERIES = ("c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", "p", ">", "h", "*")
LINES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))

_COLOUR = re.compile(r"--([a-z]+\d?):\s*(#[0-9a-f]{6});")


class Style(NamedTuple):
    """How one run looks in all charts of a benchmark; `colour` is a name of `colours.css`."""

    colour: str
    mark: str
    line: str | tuple[int, tuple[float, ...]]


def style(number: int) -> Style:
    """The look of the run with this number: 24 differ in colour and mark together."""
    return Style(SERIES[number % len(SERIES)], MARKS[number % len(MARKS)], LINES[number % len(LINES)])


@functools.cache
def colours() -> dict[str, str]:
    """The light colours by name, as `reports/static/colours.css` has them: "#rrggbb"."""
    css = (content_dir("reports") / "static" / "colours.css").read_text("utf-8")
    return dict(_COLOUR.findall(css[: css.index("}")]))


def colour(name: str) -> str:
    """The light colour of this name."""
    return colours()[name]


@contextmanager
def drawing_rules() -> Iterator[None]:
    """Matplotlib's settings for charts, whatever the user's own `matplotlibrc` says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "font.family": ["DejaVu Sans"],
                "hatch.color": colour("bg"),
                "hatch.linewidth": 1.0,
                "path.simplify": False,
                "svg.fonttype": "none",
                "svg.hashsalt": "evalkit",
                "pdf.fonttype": 42,
            }
        )
        yield
