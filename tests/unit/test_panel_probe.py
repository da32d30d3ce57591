"""Panel probe: the same boards for the same seeds, and need known by construction."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from evalkit import EvalkitError
from evalkit.content import find_tasks, open_task, task_named
from evalkit.training.recipes.nano.words import PANELS


def samples(**options: object) -> list:  # type: ignore[type-arg]
    entry = task_named("panel_probe", find_tasks())
    return list(open_task(entry, options={k: str(v) for k, v in options.items()}).samples())


def test_the_held_out_set_is_a_thousand_items_of_known_need() -> None:
    rows = samples()
    assert len(rows) == len({row.id for row in rows}) == 1000
    assert sum(row.metadata["needs_tool"] for row in rows) == 498
    assert rows[0].question.startswith("What colour is the shape in the top-left panel?\nA. ")
    assert all(row.choices[row.answer] == row.metadata["colour"] for row in rows)


def test_questions_of_a_board_share_its_image() -> None:
    rows = samples(boards=2)
    assert rows[0].images[0] is rows[3].images[0]
    assert rows[0].images[0] is not rows[4].images[0]
    assert (rows[0].images[0].header.width, rows[0].images[0].header.mime) == (768, "image/png")


def test_a_seed_gives_the_same_board_for_ever() -> None:
    text = "\n".join(f"{row.id} {row.question} {row.answer}" for row in samples())
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "49a3fa5a9143c41c"


def test_level_1_is_the_default_and_keeps_its_words() -> None:
    row, plain = samples(level=1, boards=1)[0], samples(boards=1)[0]
    assert (row.id, row.question, row.metadata) == (plain.id, plain.question, plain.metadata)
    assert set(row.metadata) == {"panel", "colour", "needs_tool"}


def test_level_2_has_shapes_of_all_sizes_and_contrasts() -> None:
    rows = samples(level=2, boards=100)
    sizes, contrasts = [r.metadata["size"] for r in rows], [r.metadata["contrast"] for r in rows]
    assert min(sizes) <= 6
    assert max(sizes) >= 150
    assert sum(size < 27 for size in sizes) / len(sizes) == pytest.approx(0.5, abs=0.07)
    assert 0.35 <= min(contrasts) < 0.4
    assert 0.95 < max(contrasts) <= 1
    assert all(r.metadata["needs_tool"] == (r.metadata["size"] < 60) for r in rows)


def test_a_faint_shape_is_nearer_to_its_background() -> None:
    by_contrast = sorted(
        samples(level=2, boards=60, big_min=170, tiny_min=160, tiny_max=160), key=lambda r: r.metadata["contrast"]
    )

    def saturation(row) -> float:  # type: ignore[no-untyped-def]
        left, top = (256 * at for at in reversed(divmod(PANELS.index(row.metadata["panel"]), 3)))
        red, green, blue = np.asarray(row.images[0].open())[top + 118 : top + 138, left + 118 : left + 138].mean((0, 1))
        return float(max(red, green, blue) - min(red, green, blue))

    colourful = [row for row in by_contrast if row.metadata["colour"] == "red"]
    assert saturation(colourful[0]) < saturation(colourful[-1])


def test_level_3_mixes_colours_and_products() -> None:
    rows = samples(level=3, boards=100)
    products = [row for row in rows if "one" in row.metadata]
    assert len(products) == len(rows) / 2
    for row in products:
        one, other = row.metadata["one"], row.metadata["other"]
        assert row.question.startswith(f"What is {one} * {other} mod 7?")
        assert int(row.choices[row.answer]) == one * other % 7
        assert row.metadata["needs_tool"] == (one > 9)
    assert {row.category for row in rows} == {"legible", "needs tool"}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9, 1.0])
def test_the_share_of_tiny_shapes_is_an_option(share: float) -> None:
    rows = samples(tiny_share=share, boards=200)
    assert sum(row.metadata["needs_tool"] for row in rows) / len(rows) == pytest.approx(share, abs=0.05)


def test_sizes_are_options() -> None:
    (row, *_) = samples(boards=1, panel=128, big_min=40, big_max=90)
    assert row.images[0].header.width == 384


@pytest.mark.parametrize(
    "options",
    [
        {"questions": 0},
        {"questions": 10},
        {"boards": -1},
        {"big_min": 300},
        {"tiny_min": 0},
        {"level": 0},
        {"level": 4},
        {"tiny_share": 1.1},
        {"tiny_share": "nan"},
    ],
)
def test_options_that_make_no_board_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(EvalkitError, match="panel_probe"):
        samples(**options)


def test_other_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match="it reads: generated, sample"):
        open_task(task_named("panel_probe", find_tasks()), str(tmp_path))
