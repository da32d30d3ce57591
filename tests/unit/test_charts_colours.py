"""The colours of pages and charts: the same names in both themes, readable, and apart for the colour-blind."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from numpy.typing import NDArray

from evalkit.content import content_dir
from evalkit.reporting.charts.arbitration import KINDS, TINT
from evalkit.reporting.charts.style import SERIES, colours

CSS = (content_dir("reports") / "static" / "colours.css").read_text("utf-8")
TEXT = ("fg", "muted", "accent", "good", "bad", "warn")
NAMES = {"bg", "fg", "muted", "line", "panel", "accent", "good", "bad", "warn", *SERIES}

# What people without one kind of cone see, in linear RGB: Machado, Oliveira, Fernandes 2009, severity 1.0.
SIGHT = {
    "all": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]
    ),
}


def blocks() -> list[tuple[str, dict[str, str]]]:
    rules = re.findall(r"([^{}]+)\{((?:\s*[a-z-]+\d?:[^{}]+?;)+)\s*\}", CSS)
    return [(selector.strip(), dict(re.findall(r"--([a-z0-9]+):\s*(\S+);", body))) for selector, body in rules]


LIGHT, DARK, CHOSEN = (values for _, values in blocks())
THEMES = {"light": LIGHT, "dark": DARK}


def linear(colour: str) -> NDArray[np.float64]:
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2."""
    dark, bright = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other))
    return (bright + 0.05) / (dark + 0.05)


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE Lab under D65."""
    matrix = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    )
    ratio = matrix @ np.clip(rgb, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one: str, other: str) -> float:
    """Least distance in CIE Lab over all kinds of sight."""
    return min(float(np.linalg.norm(lab(sight @ linear(one)) - lab(sight @ linear(other)))) for sight in SIGHT.values())


def blend(colour: str, alpha: float, ground: str) -> str:
    parts = [round(alpha * int(colour[i : i + 2], 16) + (1 - alpha) * int(ground[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{part:02x}" for part in parts)


def test_both_themes_have_all_names_and_the_chosen_one_is_the_preferred_one() -> None:
    assert set(LIGHT) == set(DARK) == NAMES
    assert CHOSEN == DARK


def test_charts_are_drawn_in_the_light_colours_and_no_two_are_the_same() -> None:
    assert colours() == LIGHT
    # else a colour could not be turned back into its name
    assert len(set(LIGHT.values())) == len(LIGHT)
    assert all(re.fullmatch("#[0-9a-f]{6}", value) for value in LIGHT.values())


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("ground", ["bg", "panel"])
def test_text_can_be_read_and_series_can_be_seen(theme: str, ground: str) -> None:
    values = THEMES[theme]
    low = {name: contrast(values[name], values[ground]) for name in TEXT}
    assert min(low.values()) >= 4.5, low
    seen = {name: contrast(values[name], values[ground]) for name in SERIES}
    assert min(seen.values()) >= 3.0, seen


@pytest.mark.parametrize("theme", THEMES)
def test_text_in_a_mosaic_can_be_read(theme: str) -> None:
    values = THEMES[theme]
    for kind in KINDS:
        assert contrast(values["fg"], blend(values[kind.tone], TINT, values["bg"])) >= 4.5, kind


@pytest.mark.parametrize("theme", THEMES)
def test_series_stay_apart_for_the_colour_blind(theme: str) -> None:
    values = THEMES[theme]
    found = {(a, b): distance(values[a], values[b]) for a, b in itertools.combinations(SERIES, 2)}
    assert min(found.values()) >= 14, min(found, key=lambda pair: found[pair])
    assert min(found[pair] for pair in itertools.combinations(SERIES[:4], 2)) >= 25
    judged = [distance(values[a], values[b]) for a, b in itertools.combinations(("good", "bad", "warn"), 2)]
    assert min(judged) >= 12
