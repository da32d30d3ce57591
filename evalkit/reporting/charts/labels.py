"""Names beside marks: where each can stand without lying on a mark, an interval or another name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from evalkit.reporting.charts.drawing import Box
from evalkit.reporting.charts.names import text_width

HEIGHT = 15.0
"""Of a line of text, in pixels."""

_RADII = (9.0, 11.0, 14.0, 22.0, 32.0, 44.0, 58.0, 74.0)
_ANGLES = (0, 180, 315, 225, 45, 135, 270, 90, 337, 203, 23, 157, 293, 247, 67, 113)
_LEADER = 16.0


class Label(NamedTuple):
    """Where a name stands.

    Attributes:
        box: of the text, in pixels from the top left.
        leader: a line from the mark to the text, where they are far apart.
    """

    box: Box
    leader: tuple[tuple[float, float], tuple[float, float]] | None


def place_labels(
    marks: Sequence[tuple[float, float]],
    texts: Sequence[str],
    others: Sequence[Box],
    bounds: Box,
    grid: Sequence[float] = (),
) -> list[Label | None]:
    """A place for each name, the first ones nearest to their marks.

    Args:
        marks: places in pixels, shape (n, 2).
        texts: shape (n,).
        others: what names must not cover, besides the marks.
        bounds: what they must stay within.
        grid: heights of level lines, on which a name stands only where no other place is near.

    Returns:
        None for a name that fits nowhere.
    """
    kept_clear = [Box(x - 5, y - 5, x + 5, y + 5) for x, y in marks]
    taken = [*others, *kept_clear]
    placed: list[Label | None] = []
    for (x, y), text in zip(marks, texts, strict=True):
        labels = (label for label in _candidates(x, y, text_width(text)) if _inside(label.box, bounds))
        # a line to a mark may cross other lines, a name nothing
        free = (label for label in labels if _clear([label.box], taken) and _clear(_beads(label), kept_clear))
        found = _nearest(free, grid)
        placed.append(found)
        if found is not None:
            kept_clear.append(found.box)
            taken += [found.box, *_beads(found)]
    return placed


def _nearest(free: Iterator[Label], grid: Sequence[float]) -> Label | None:
    """The first place off the grid that needs no line to its mark, else the first."""
    first = None
    for label in free:
        if first is None:
            first = label
        if first.leader is not None or label.leader is not None:
            break
        if not any(label.box.top + 1 < line < label.box.bottom - 1 for line in grid):
            return label
    return first


def _candidates(x: float, y: float, width: float) -> Iterator[Label]:
    for radius in _RADII:
        for angle in _ANGLES:
            dx, dy = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            near_x, near_y = x + radius * dx, y + radius * dy
            # the text's side that faces the mark; above and below it stands over the mark's middle
            left = near_x - width * (0.5 - 0.5 * (0 if abs(dx) < 0.1 else math.copysign(1.0, dx)))
            middle = near_y + 0.5 * HEIGHT * (0 if abs(dy) < 0.1 else math.copysign(0.5, dy))
            box = Box(left, middle - HEIGHT / 2, left + width, middle + HEIGHT / 2)
            far = radius > _LEADER
            yield Label(box, ((x + 6 * dx, y + 6 * dy), (near_x, near_y)) if far else None)


def _inside(box: Box, bounds: Box) -> bool:
    across = bounds.left <= box.left and box.right <= bounds.right
    return across and bounds.top <= box.top and box.bottom <= bounds.bottom


def _clear(boxes: Sequence[Box], taken: Sequence[Box]) -> bool:
    return not any(_meet(one, other) for one in boxes for other in taken)


def _beads(label: Label) -> list[Box]:
    """Small boxes along the line to the mark."""
    if label.leader is None:
        return []
    (x, y), (to_x, to_y) = label.leader
    steps = max(2, int(math.dist((x, y), (to_x, to_y)) // 4))
    places = ((x + (to_x - x) * i / steps, y + (to_y - y) * i / steps) for i in range(1, steps))
    return [Box(px - 0.5, py - 0.5, px + 0.5, py + 0.5) for px, py in places]


def _meet(one: Box, other: Box) -> bool:
    return one.left < other.right and other.left < one.right and one.top < other.bottom and other.top < one.bottom
