"""Panel probe: the same boards for the same seeds, and need known by construction."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from evalkit import EvalkitError
from evalkit.content import find_tasks, open_task, task_named


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


def test_sizes_are_options() -> None:
    (row, *_) = samples(boards=1, panel=128, big_min=40, big_max=90)
    assert row.images[0].header.width == 384


@pytest.mark.parametrize(
    "options", [{"questions": 0}, {"questions": 10}, {"boards": -1}, {"big_min": 300}, {"tiny_min": 0}]
)
def test_options_that_make_no_board_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(EvalkitError, match="panel_probe"):
        samples(**options)


def test_other_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match="it reads: generated, sample"):
        open_task(task_named("panel_probe", find_tasks()), str(tmp_path))
