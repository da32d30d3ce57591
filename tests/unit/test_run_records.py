"""A run's records are read where they lie: the same as whole ones, and never all of them at once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evalkit import CallStatus, DataSource, ImageFile, Observation, Outcome, Record, Sample, Task, Timing, Verdict
from evalkit.analysis import summarise
from evalkit.errors import DataError
from evalkit.records import (
    AGAIN,
    AGENT,
    DIRECT,
    ISOLATED,
    Prices,
    Rule,
    Shown,
    StopReason,
    ToolCall,
    Usage,
    answer_arm,
)
from evalkit.runs.run_records import RunRecords
from evalkit.runs.store import RunStore, latest_records
from evalkit.runs.stored import stored_of
from evalkit.runs.stored_rows import stored_rows
from evalkit.task import Metric
from tests.run_folders import row

LONG = "a word or two " * 1500
ROWS = 400


class Lengths(Task):
    """Its own figure rests on the texts, and it keeps every record that it is given."""

    name = "lengths"
    official = True

    def samples(self) -> Iterable[Sample]:
        return []

    def score(self, sample: Sample, response: str) -> Outcome:
        return Outcome(verdict=Verdict.UNPARSED)

    def metrics(self, records: Sequence[Record]) -> tuple[Metric, ...]:
        self.kept = list(records)
        total = sum(len(record.trajectory.response) + len(record.trajectory.prompt) for record in self.kept)
        calls = sum(len(record.trajectory.calls) for record in records)
        return (Metric(name="characters", value=float(total), n=len(records), count=calls),)


def task() -> Lengths:
    return Lengths(DataSource(kind="sample"), Path())


def changed(record: Record, **trajectory: Any) -> Record:
    return msgspec.structs.replace(record, trajectory=msgspec.structs.replace(record.trajectory, **trajectory))


def turns(record: Record, **fields: Any) -> Record:
    return changed(record, turns=tuple(msgspec.structs.replace(t, **fields) for t in record.trajectory.turns) * 2)


def mixed(png: ImageFile) -> list[Record]:
    """Every arm, every kind of row, and some that are superseded."""
    shown = Shown(origin="sample", width=2000, height=1500, shown_width=1000, shown_height=750, tokens=990)
    calls = tuple(ToolCall(tool=name, raw="x", status=CallStatus(s)) for name, s in (("a", "ok"), ("b", "failed")))
    timed = Timing(queue_s=0.1, ttft_s=0.2, decode_s=0.3, generate_s=0.7, tool_s=0.1)
    first = [
        row("twice", Verdict.ENGINE_ERROR),
        row("one", True, calls=2, category="c", cluster="k", official=False),
        row("two", False, calls=1, category="d", cluster="k", official=True, images=(png,)),
        turns(row("three", True), timing=timed, usage=Usage(), shown=(shown, shown), calls=calls),
        turns(row("four", Verdict.UNPARSED, answered=None), timing=timed, discarded="too long", calls=calls[:1]),
        turns(row("five", False), shown=(msgspec.structs.replace(shown, tokens=None, shown_width=None),)),
        changed(row("six", Verdict.LIMIT_TURNS), restarts=2, fallback="the question", stop=StopReason.GAVE_UP),
        changed(row("seven", Verdict.DATA_ERROR), turns=(), stop=StopReason.DATA_ERROR),
        row("eight", True, partial=True, seconds=None),
        row("nine", True, seconds=float("nan"), tokens=None),
    ]
    others = [
        *(row(id, right, arm=DIRECT) for id, right in (("one", False), ("two", True), ("three", True))),
        *(row("one", False, repeat=repeat) for repeat in (1, 2)),
        row("one", True, arm=answer_arm(0)),
        row("two", True, arm=ISOLATED, seconds=0.25),
        row("one", True, arm=AGAIN, calls=2, cluster="k"),
        row("two", False, arm=AGAIN, text="other words", cluster="k"),
    ]
    return [*first, *others, row("twice", True, category="c")]


def stored(folder: Path, records: Iterable[Record]) -> Path:
    with RunStore(folder) as store:
        for record in records:
            store.append(record)
    return folder


def parts(record: Any) -> tuple[Any, ...]:
    images = [[image.header for image in record.sample.images]]
    images += [
        [image.header for image in seen.images] for turn in record.trajectory.turns for seen in turn.observations
    ]
    bare = msgspec.structs.replace(record.sample, images=())
    calls = [turn.calls for turn in record.trajectory.turns]
    return (record.key, record.version, bare, record.outcome, record.trajectory.response, calls, images)


def test_they_are_the_latest_records(tmp_path: Path, png: ImageFile) -> None:
    seen = Observation(text="seen", images=(png,))
    folder = stored(tmp_path, [turns(row("zero"), observations=(seen,)), *mixed(png)])
    whole, lazy = list(latest_records(folder).values()), RunRecords(folder)
    assert len(lazy) == len(whole)
    assert list(map(parts, lazy)) == list(map(parts, whole))
    assert [parts(lazy[place]) for place in (0, -1, 3)] == [parts(whole[place]) for place in (0, -1, 3)]
    assert list(map(parts, lazy[2:5])) == list(map(parts, whole[2:5]))
    kept = [one for one in whole if (one.arm, one.repeat) == (AGENT, 0)]
    assert list(map(parts, lazy.first_tries)) == list(map(parts, kept))
    # what is kept beyond its turn is read all the same
    assert [one.trajectory.prompt for one in list(lazy)] == [one.trajectory.prompt for one in whole]


def test_lines_that_come_later_are_not_seen(tmp_path: Path) -> None:
    lazy = RunRecords(stored(tmp_path, [row(1), row(2)]))
    stored(tmp_path, [row(3), row(1, False)])
    assert [(one.sample.id, one.outcome.verdict) for one in lazy] == [("1", "correct"), ("2", "correct")]


def test_a_folder_without_records_has_none(tmp_path: Path) -> None:
    assert list(RunRecords(tmp_path)) == []
    assert stored_rows(tmp_path) == {}


@pytest.mark.parametrize("reader", [RunRecords, stored_rows])
def test_a_corrupt_line_is_named(tmp_path: Path, reader: Callable[[Path], object]) -> None:
    file = stored(tmp_path, [row(1), row(2)]) / "samples.jsonl"
    file.write_bytes(file.read_bytes() + b"{broken\n" + file.read_bytes())
    with pytest.raises(DataError, match=r"samples\.jsonl line 3 is corrupt"):
        reader(tmp_path)


def without_text(folder: Path, record: Record) -> Path:
    """A run whose second line cannot be read whole: its text is a number."""
    file = stored(folder, [row(1), record]) / "samples.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"unread"', b"7"))
    return folder


def test_a_trajectory_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    lazy = RunRecords(without_text(tmp_path, row(2, text="unread")))
    assert [one.outcome.verdict for one in lazy] == ["correct", "correct"]
    assert lazy[0].trajectory.response == "words"
    with pytest.raises(DataError, match=r"samples\.jsonl line 2 is corrupt"):
        lazy[1].trajectory  # noqa: B018


def test_what_a_resume_reads_has_no_text(tmp_path: Path) -> None:
    found = stored_rows(without_text(tmp_path, row(2, Verdict.ENGINE_ERROR, calls=1, text="unread", arm=DIRECT)))
    assert found == {
        ("1", AGENT, 0): stored_of(row(1)),
        ("2", DIRECT, 0): stored_of(row(2, Verdict.ENGINE_ERROR, calls=1, arm=DIRECT)),
    }
    assert (found["2", DIRECT, 0].called, found["2", DIRECT, 0].error) == (True, "the server went away")
    with pytest.raises(DataError):
        latest_records(tmp_path)


def test_a_resume_reads_what_the_records_say(tmp_path: Path, png: ImageFile) -> None:
    whole = latest_records(stored(tmp_path, mixed(png)))
    assert stored_rows(tmp_path) == {key: stored_of(record) for key, record in whole.items()}


@pytest.mark.parametrize("rule", list(Rule))
def test_a_summary_of_a_folder_is_that_of_its_records(tmp_path: Path, png: ImageFile, rule: Rule) -> None:
    folder, prices = stored(tmp_path, mixed(png)), Prices(prompt=2.0, completion=3.0)
    from_file = summarise(task(), "m", 14, RunRecords(folder), rule, prices=prices)
    in_memory = summarise(task(), "m", 14, list(latest_records(folder).values()), rule, prices=prices)
    assert from_file == in_memory
    assert (from_file.done, from_file.outcomes["correct"], from_file.errors) == (10, 5, {"the server went away": 1})
    assert from_file.repeat is not None
    assert (from_file.repeat.n, from_file.repeat.same_text) == (2, 1)
    assert from_file.tries == {"discarded": 1, "restarted": 1, "fallback": 1, "gave_up": 1}
    assert from_file.pixels["shown"].n == 4
    assert from_file.pixels["tokens"].n == 1
    assert from_file.metrics[0].value > 0  # type: ignore[operator]


def peak(work: Callable[[], object]) -> int:
    """Most bytes that were held meanwhile."""
    work()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = (turns(row(i, i % 3 > 0, calls=1, text=LONG, category=f"c{i % 5}")) for i in range(ROWS))
    return stored(tmp_path_factory.mktemp("long"), rows)


def test_a_summary_holds_no_texts(long: Path) -> None:
    size = (long / "samples.jsonl").stat().st_size
    assert size > 40 * ROWS * 1000
    own = task()
    assert peak(lambda: summarise(own, "m", ROWS, RunRecords(long))) < size / 6
    assert len(own.kept) == ROWS
    assert peak(lambda: list(latest_records(long).values())) > size / 2


def test_a_resume_holds_next_to_nothing(long: Path) -> None:
    assert peak(lambda: stored_rows(long)) < 1000 * ROWS
