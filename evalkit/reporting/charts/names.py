"""Names of runs, models and categories as a chart can show them: on one line, short, and of known width."""

from __future__ import annotations

import functools

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import FT2Font
from matplotlib.textpath import text_to_path

from evalkit.errors import one_line
from evalkit.reporting.charts.style import SIZE

_ABSENT = "\N{REPLACEMENT CHARACTER}"


def plain(text: str) -> str:
    """The whole name on one line, without control characters."""
    return one_line(text, 1_000) or "(no name)"


def short(text: str, width: float, size: float = SIZE) -> str:
    """The name in at most `width` pixels: the middle goes, as the ends tell runs apart."""
    whole = plain(text)
    if text_width(whole, size) <= width:
        return whole
    low, high = 1, min(len(whole) - 1, 200)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text_width(_cut(whole, middle), size) <= width else (low, middle - 1)
    return _cut(whole, low)


def _cut(text: str, letters: int) -> str:
    head = (letters + 1) // 2
    return f"{text[:head]}…{text[len(text) - (letters - head) :]}"


@functools.lru_cache(maxsize=4096)
def text_width(text: str, size: float = SIZE) -> float:
    """Pixels that the text takes in the font that charts are drawn in, which is wider than those of most pages."""
    found, _, _ = text_to_path.get_text_width_height_descent(drawable(text), font(size), ismath=False)
    return float(found)


def drawable(text: str) -> str:
    """The text with a sign in place of every character that the font lacks; the page's own fonts may have it."""
    font = _face()
    return "".join(c if font.get_char_index(ord(c)) else _ABSENT for c in text)


@functools.cache
def font(size: float) -> FontProperties:
    """The font that charts are drawn in."""
    return FontProperties(family="DejaVu Sans", size=size)


@functools.cache
def _face() -> FT2Font:
    return get_font(findfont(font(SIZE)))
