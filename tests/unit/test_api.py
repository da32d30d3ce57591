"""evalkit as a library: its names are light, and what they give is what the command line gives."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit.api import _as
from evalkit.errors import DataError, EvalkitError
from evalkit.records import Rule
from tests.run_folders import row, write_run
from tests.unit.test_hooks import Watch, place, run

__all__ = ["place"]


def test_the_names_are_there_and_cost_nothing_until_they_are_asked_for() -> None:
    probe = "import sys, evalkit; assert 'run' in dir(evalkit); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert {"evalkit.api", "evalkit.cli", "evalkit.hooks", "typer", "asyncio"}.isdisjoint(done.stdout.split())
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        evalkit.runn  # noqa: B018


@pytest.mark.usefixtures("place")
def test_run_gives_what_the_folder_holds_and_resumes() -> None:
    [made] = run(limit=4)
    assert made.code == 0
    assert (made.model, made.task, len(made.records), len(made.samples)) == ("metis-nano", "fruit", 4, 4)
    assert made.summary.accuracy.count == 3
    assert list(made.table["right"]) == [record.outcome.right() for record in made.records]
    assert json.loads((made.folder / "summary.json").read_text())["accuracy"]["count"] == 3
    assert [again.folder for again in run(limit=4)] == [made.folder]
    assert repr(made) == f"Run('{made.folder}', metis-nano on fruit)"


@pytest.mark.usefixtures("place")
def test_it_may_be_called_where_an_event_loop_runs() -> None:
    async def cell() -> list[evalkit.Run]:
        return run(limit=2)

    [made] = asyncio.run(cell())
    assert len(made.records) == 2


@pytest.mark.usefixtures("place")
def test_errors_come_out_as_they_are_in_a_loop_or_out_of_one() -> None:
    async def cell() -> None:
        evalkit.run(tasks="no_such_task")

    with pytest.raises(EvalkitError, match="unknown task 'no_such_task'"):
        asyncio.run(cell())
    with pytest.raises(EvalkitError, match="unknown option 'limt'; nearest: limit"):
        run(limt=4)
    with pytest.raises(EvalkitError, match="names no task"):
        evalkit.run()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"limit": -1}, "option limit is -1; it must be at least 1"),
        ({"limit": "5"}, "option limit is '5': Expected `int | null`"),
        ({"allowed_errors": 7}, "must be at least 0 and at most 1"),
        ({"temperature": "hot"}, "option temperature is 'hot': Expected `float | null`"),
        ({"rule": "offical"}, "Invalid enum value 'offical'"),
        ({"out": 5}, "option out is 5: "),
        ({"hooks": [3]}, "hooks has 3, which has none of on_run_start"),
        ({"hooks": [evalkit.Hook]}, r"hooks has the class Hook; give one made of it: Hook\(\)"),
    ],
)
def test_options_are_held_to_the_bounds_of_the_command_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(EvalkitError, match=said) as caught:
        run(**options)
    assert len(str(caught.value).splitlines()) == 1
    assert not list(Path().glob("runs/*"))


@pytest.mark.usefixtures("place")
def test_one_hook_needs_no_list() -> None:
    watch = Watch()
    run(hooks=watch, limit=1)
    assert [what for what, _ in watch.told] == ["start", "sample", "end", "close"]


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        (str, Path("a"), "a"),
        (float, 3, 3.0),
        (Path | None, "a", Path("a")),
        (list[str] | None, "http://x", ["http://x"]),
        (list[Path] | None, ["a", "b"], [Path("a"), Path("b")]),
        (list[str] | None, None, None),
        (Rule, "official", Rule.OFFICIAL),
        (int | None, 3, 3),
        (bool, True, True),
    ],
)
def test_values_are_read_as_the_command_line_reads_them(kind: object, value: object, read: object) -> None:
    assert _as(kind, value) == read


def test_runs_are_opened_and_compared(tmp_path: Path) -> None:
    old = write_run(tmp_path / "old", [row(i, i % 2 == 0) for i in range(10)])
    new = write_run(tmp_path / "new", [row(i) for i in range(10)])
    opened = evalkit.load_run(new)
    assert opened.code is None
    found = evalkit.compare(old, opened)
    assert found.against[0].overlap.pairs == 10
    assert (found.against[0].figures[0].old, found.against[0].figures[0].new) == (0.5, 1.0)
    with pytest.raises(DataError, match="is not a run folder"):
        evalkit.load_run(tmp_path)
