"""Names beside marks never lie on one another, on a mark, or outside."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.reporting.charts.drawing import Box
from evalkit.reporting.charts.labels import place_labels
from evalkit.reporting.charts.names import short, text_width

BOUNDS = Box(40, 20, 700, 350)
PLACES = st.tuples(st.floats(40, 700), st.floats(20, 350))


def meet(one: Box, other: Box) -> bool:
    return one.left < other.right and other.left < one.right and one.top < other.bottom and other.top < one.bottom


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(PLACES, st.sampled_from(["a", "metis-nano", "a name of some length"])), max_size=20))
def test_labels_do_not_overlap(found: list[tuple[tuple[float, float], str]]) -> None:
    marks, texts = [place for place, _ in found], [text for _, text in found]
    labels = [label for label in place_labels(marks, texts, [], BOUNDS) if label is not None]
    boxes = [label.box for label in labels]
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if meet(a, b)]
    marked = [Box(x - 4, y - 4, x + 4, y + 4) for x, y in marks]
    assert not [(box, mark) for box in boxes for mark in marked if meet(box, mark)]
    for box in boxes:
        assert BOUNDS.left <= box.left <= box.right <= BOUNDS.right
        assert BOUNDS.top <= box.top <= box.bottom <= BOUNDS.bottom


def test_a_label_alone_stands_right_of_its_mark() -> None:
    (label,) = place_labels([(100, 100)], ["metis"], [], BOUNDS)
    assert label is not None
    assert label.box.left > 100
    assert label.box.right - label.box.left == pytest.approx(text_width("metis"))
    assert (label.box.top + label.box.bottom) / 2 == 100
    assert label.leader is None


def test_a_crowd_is_named_by_lines_and_what_has_no_room_is_said() -> None:
    crowd = [(300.0 + 12 * k, 180.0 + 2 * (k % 3)) for k in range(8)]
    found = place_labels(crowd, ["metis-nano"] * 8, [], BOUNDS)
    assert sum(label is None for label in found) <= 2
    assert any(label.leader for label in found if label is not None)
    heap = place_labels([(300.0, 180.0)] * 6, ["metis-nano"] * 6, [], BOUNDS)
    assert [label is None for label in heap] == [False] * 4 + [True] * 2
    assert place_labels([(50.0, 30.0)], ["wide " * 200], [], BOUNDS) == [None]


def test_a_label_keeps_off_a_line_of_the_grid_where_it_can() -> None:
    (label,) = place_labels([(100, 100)], ["metis"], [], BOUNDS, [100.0])
    assert label is not None
    assert not label.box.top + 1 < 100 < label.box.bottom - 1


@given(st.text(max_size=400), st.floats(30, 300))
@settings(max_examples=60, deadline=None)
def test_a_short_name_fits_and_keeps_its_ends(text: str, width: float) -> None:
    found = short(text, width)
    assert found
    assert text_width(found) <= max(width, text_width("ab…"), text_width(found[:1] + "…")) + 1e-6
    assert found.isprintable()
