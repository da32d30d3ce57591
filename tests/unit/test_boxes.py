"""Boxes that models write become pixels of the image, or a reason in words."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit import CallStatus
from evalkit.agents.protocols import DeepEyes, MiniO3, PixelReasoner, SenseNovaMars
from evalkit.tools.boxes import BadBox, BoxRule, Frame, Rounding, pixel_box

PIXELS = DeepEyes.zoom.box
UNIT = MiniO3.zoom.box
MIXED = PixelReasoner.zoom.box
THOUSAND = SenseNovaMars.zoom.box
RULES = (PIXELS, UNIT, MIXED, THOUSAND, BoxRule(frame=Frame.PIXELS, clamp=False), BoxRule(frame=Frame.PIXELS))


@pytest.mark.parametrize(
    ("rule", "box", "pixels"),
    [
        (PIXELS, [10, 20, 110, 220], (10, 20, 110, 220)),
        (PIXELS, [10.5, 20.4, 11.5, 21.6], (10, 20, 12, 22)),
        (PIXELS, [-5, -5, 5000, 5000], (0, 0, 1000, 500)),
        (PIXELS, (0, 0, 1, 1), (0, 0, 1, 1)),
        # shares are cut to whole pixels; the last row and column are never reached
        (UNIT, [0.1, 0.2, 0.3333, 0.5], (100, 100, 333, 250)),
        (UNIT, [0, 0, 1, 1], (0, 0, 999, 499)),
        (UNIT, [-0.5, -1, 2, 7.5], (0, 0, 999, 499)),
        # a tenth of the image more at each edge, as far as there is one
        (MIXED, [0.3, 0.4, 0.5, 0.6], (200, 150, 600, 350)),
        (MIXED, [0.0, 0.05, 1.0, 0.95], (0, 0, 1000, 500)),
        (MIXED, [300, 200, 500, 300], (200, 150, 600, 350)),
        (MIXED, [0, 0, 1, 400], (0, 0, 101, 450)),
        # a reversed box is one as long as what is added makes it one
        (MIXED, [0.55, 0.4, 0.45, 0.6], (450, 150, 550, 350)),
        (THOUSAND, [100, 200, 333.9, 500], (100, 100, 333, 250)),
        (THOUSAND, [-7, -7, 1200, 1200], (0, 0, 1000, 500)),
        (THOUSAND, ["100", "200.0", "1e3", " 500 "], (100, 100, 1000, 250)),
    ],
)
def test_each_family_reads_its_own_frame(rule: BoxRule, box: object, pixels: tuple[int, ...]) -> None:
    assert pixel_box(box, 1000, 500, rule) == pixels


def test_one_is_a_pixel_where_the_authors_code_has_it_so() -> None:
    strict = BoxRule(frame=Frame.MIXED, padding=0.1, above=28, below_one=True)
    assert pixel_box([0.5, 0.5, 1.0, 1.0], 1000, 500, MIXED) == (400, 200, 1000, 500)
    # the same box in pixels is the top left corner and what is added to it
    assert pixel_box([0.5, 0.5, 1.0, 1.0], 1000, 500, strict) == (0, 0, 101, 51)
    assert pixel_box([0.5, 0.5, 0.999, 0.999], 1000, 500, strict) == (400, 200, 1000, 500)


def test_without_clamping_a_box_reaches_beyond_the_image() -> None:
    rule = BoxRule(frame=Frame.PIXELS, clamp=False)
    assert pixel_box([-10, -20, 1010, 30], 1000, 500, rule) == (-10, -20, 1010, 30)
    with pytest.raises(BadBox, match="too large"):
        pixel_box([0, 0, 10**6, 10**6], 1000, 500, rule)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "box",
    [
        None, "10, 20, 30, 40", {"x": 1}, 7, [], [1, 2, 3], [1, 2, 3, 4, 5], [[1, 2], [3, 4]], [1, 2, [3], 4],
        [True, 0, 5, 5], [None, 0, 5, 5], ["a", "b", "c", "d"], [math.nan, 0, 5, 5], [0, 0, math.inf, 5],
        [-math.inf, 0, 5, 5], [0, 0, 10**400, 5], [0, 0, 1e300, 5], ["nan", 0, 5, 5], ["1" * 5000, 0, 5, 5],
    ],
)  # fmt: skip
def test_what_is_no_box_is_said_to_be_none(rule: BoxRule, box: object) -> None:
    with pytest.raises(BadBox) as refused:
        pixel_box(box, 1000, 500, rule)
    assert refused.value.status is CallStatus.MALFORMED
    assert len(str(refused.value)) < 200
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("rule", "box", "why"),
    [
        (PIXELS, [110, 220, 10, 20], "left < right and top < bottom"),
        (PIXELS, [10, 20, 10, 220], "left < right"),
        (PIXELS, [2000, 20, 3000, 220], "no pixel"),
        (PIXELS, ["10", 20, 110, 220], "'10' is none"),
        (UNIT, [0.5, 0.5, 0.5004, 0.9], "no pixel"),
        (UNIT, [300, 200, 500, 300], "no pixel"),
        (UNIT, [0.0, 0.5, 1.0, 0.509], "too narrow"),
        (MIXED, [0.9, 0.2, 0.1, 0.3], "left < right"),
        (MIXED, [-0.9, 0.2, -0.08, 0.3], "28"),
        (THOUSAND, [500, 500, 500, 900], "left < right"),
    ],
)
def test_a_box_that_is_none_of_the_image_is_refused_with_its_reason(rule: BoxRule, box: object, why: str) -> None:
    with pytest.raises(BadBox, match=why):
        pixel_box(box, 1000, 500, rule)


def test_the_bound_of_a_shape_is_the_authors() -> None:
    rule = BoxRule(frame=Frame.PIXELS, aspect=200.0)
    assert pixel_box([0, 0, 199, 1], 1000, 500, rule) == (0, 0, 199, 1)
    for box in ([0, 0, 200, 1], [0, 0, 1, 200]):
        with pytest.raises(BadBox, match="too narrow"):
            pixel_box(box, 1000, 500, rule)
    small = BoxRule(frame=Frame.PIXELS, above=28)
    assert pixel_box([0, 0, 29, 29], 1000, 500, small) == (0, 0, 29, 29)
    with pytest.raises(BadBox, match="too small"):
        pixel_box([0, 0, 28, 400], 1000, 500, small)


NUMBERS = st.one_of(st.floats(), st.integers(), st.booleans(), st.none(), st.text(max_size=8))


@given(st.one_of(NUMBERS, st.lists(NUMBERS, max_size=6)), st.integers(1, 9000), st.integers(1, 9000))
@pytest.mark.parametrize("rule", RULES)
def test_a_box_is_a_part_of_the_image_or_refused(rule: BoxRule, box: object, width: int, height: int) -> None:
    try:
        left, top, right, bottom = pixel_box(box, width, height, rule)
    except BadBox:
        return
    assert left < right
    assert top < bottom
    if rule.clamp:
        assert left >= 0
        assert top >= 0
        assert right <= width
        assert bottom <= height


@given(st.integers(1, 5000), st.integers(1, 5000), st.data())
def test_whole_pixels_come_through_every_frame(width: int, height: int, data: st.DataObject) -> None:
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right, bottom = data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    box = (left, top, right, bottom)
    assert pixel_box(list(box), width, height, PIXELS) == box
    shares = [left / width, top / height, right / width, bottom / height]
    nearest = BoxRule(frame=Frame.UNIT, rounding=Rounding.NEAREST)
    assert pixel_box(shares, width, height, nearest) == box
    thousandths = json.loads(json.dumps([share * 1000 for share in shares]))
    assert pixel_box(thousandths, width, height, BoxRule(frame=Frame.THOUSAND)) == box
