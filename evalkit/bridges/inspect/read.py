"""An Inspect log as a recording: rows, messages, tool calls, tokens, times, and its scores."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from evalkit.bridges.imported import Imported
from evalkit.bridges.inspect.archive import Archive, open_archive
from evalkit.bridges.inspect.content import ContentReader
from evalkit.bridges.inspect.happened import Happened
from evalkit.bridges.inspect.installed import KEY, require
from evalkit.bridges.inspect.own import OwnReader, own_run
from evalkit.bridges.inspect.turns import talk
from evalkit.bridges.inspect.verdicts import main_names, marks, stopped
from evalkit.errors import DataError, one_line
from evalkit.recorded import recorded_outcome
from evalkit.records import RECORD_VERSION, Record, Sample, Scalar, Trajectory

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = "inspect"
_BLANK = "\n\n"
_PLAIN = (str, int, float, bool, type(None))


def read_log(file: Path) -> Imported:
    """Read the log of an Inspect run; its samples are read when the recording's rows are taken.

    A log that evalkit wrote gives its records again (`evalkit.bridges.inspect.write`).

    Args:
        file: `.eval` or `.json`.

    Raises:
        EvalkitError: Inspect is not installed, or too old, or the name ends in something else.
        DataError: the log is missing, damaged, encrypted or of a newer format. While rows are taken: a sample is
            damaged or too large.
    """
    log = open_archive(file, require())
    head = log.head
    found = Imported(
        format=FORMAT,
        task=head.eval.task,
        records=(),
        model=head.eval.model,
        expected=len(head.eval.dataset.sample_ids) if head.eval.dataset.sample_ids else None,
        notes=_head_notes(head),
    )
    if own := own_run(head):
        own.describe(found)
    names = main_names(head)
    found.records = _Rows(log, found, names, OwnReader(found, file.name) if own else None)
    return found


def _head_notes(head: Any) -> list[str]:
    notes = []
    if head.status != "success":
        why = f": {one_line(head.error.message, 160)}" if head.error is not None else ""
        notes.append(f"the log's status is {one_line(head.status, 20)}{why}: samples may be missing")
    if getattr(head, "invalidated", False):
        notes.append("the log, or samples of it, are marked as invalid")
    return notes


class _Rows:
    """The records of a log, read as they are taken."""

    def __init__(self, log: Archive, found: Imported, names: list[str], own: OwnReader | None) -> None:
        self._log = log
        self._found = found
        self._names = names
        self._own = own
        self._contents = ContentReader()
        self._systems: set[str] = set()
        self._tools: dict[str, None] = {}
        self._invalid = self._retried = 0

    def __iter__(self) -> Iterator[Record]:
        from inspect_ai.log import EvalSample
        from pydantic import ValidationError

        for tree in self._log.samples():
            where = f"{self._log.name}, sample {one_line(tree.get('id'), 60)}"
            events = _events(tree)
            try:
                sample = EvalSample.model_validate(tree)
            except (ValidationError, TypeError, ValueError, AttributeError, KeyError) as error:
                raise DataError(f"{where} is not as Inspect writes it: {one_line(error, 160)}") from error
            self._invalid += getattr(sample, "invalidation", None) is not None
            self._retried += bool(getattr(sample, "error_retries", None))
            if self._own and KEY in sample.store:
                yield self._own.record(sample, where, self._contents)
            else:
                yield self._record(sample, events, where)
        self._finish()

    def _record(self, sample: Any, events: list[Any], where: str) -> Record:
        happened = Happened(events, where)
        said = talk(sample, happened, self._contents)
        self._systems.add(said.system)
        self._tools.update(happened.tools)
        stop, error = stopped(sample, said.turns)
        response = sample.output.completion if sample.output else ""
        last = said.turns[-1].text if said.turns else ""
        trajectory = Trajectory(
            prompt=said.prompt,
            stop=stop,
            turns=said.turns,
            error=error,
            started_at=_seconds(sample.started_at),
            total_s=sample.total_time,
            final=response if response and response != last else "",
        )
        scores = marks(sample.scores)
        main = next((name for name in self._names if name in scores), next(iter(scores), None))
        if main is not None and self._found.score is None:
            self._found.score, self._found.scorer = main, f"{FORMAT}/{main}"
        main = self._found.score if self._found.score in scores else main
        answer = sample.scores[main].answer if main is not None and main in (sample.scores or {}) else None
        outcome = recorded_outcome(trajectory, scores, main, f"{FORMAT}/{main}" if main else FORMAT, answer)
        return Record(
            version=RECORD_VERSION,
            sample=self._sample(sample, said.images, said.prompt),
            trajectory=trajectory,
            outcome=outcome,
            repeat=max(0, sample.epoch - 1),
        )

    def _sample(self, sample: Any, images: Any, prompt: str) -> Sample:
        asked = sample.input
        if not isinstance(asked, str):
            read = [
                self._contents.read(message.content, sample.attachments).text
                for message in asked
                if message.role == "user"
            ]
            asked = _BLANK.join(read)
        target = sample.target
        return Sample(
            id=str(sample.id),
            question=self._contents.text(asked, sample.attachments) or prompt,
            images=images,
            answer=target if isinstance(target, str) else ", ".join(map(str, target)),
            choices={_letter(index): text for index, text in enumerate(sample.choices or ())},
            metadata={str(name): _plain(value) for name, value in sample.metadata.items()},
        )

    def _finish(self) -> None:
        found = self._found
        if self._own:
            return
        found.tools = tuple(self._tools)
        if len(self._systems) == 1:
            found.system_prompt = next(iter(self._systems))
        elif len(self._systems) > 1:
            found.notes.append(f"rows have {len(self._systems)} different system prompts, which are not kept")
        if self._invalid:
            found.notes.append(f"{self._invalid} rows are marked as invalid in the log, and count all the same")
        if self._retried:
            found.notes.append(f"{self._retried} rows were run again after an error: their last try counts")
        for what, count in self._contents.lost.items():
            found.notes.append(f"not taken over from the log: {count} {one_line(what, 60)}")


def _events(tree: dict[str, Any]) -> list[Any]:
    """A sample's events, taken out: Inspect's own types for them take ten times the time of all the rest."""
    old = tree.pop("transcript", None)
    tree.pop("timelines", None)
    tree.pop("events_data", None)
    events = tree.pop("events", None)
    if isinstance(old, dict):
        events = events or old.get("events")
        if isinstance(content := old.get("content"), dict):
            tree.setdefault("attachments", content)
    return events if isinstance(events, list) else []


def _seconds(when: str | None) -> float | None:
    try:
        return None if when is None else datetime.fromisoformat(when).timestamp()
    except ValueError:
        return None


def _letter(index: int) -> str:
    """As Inspect names options: A to Z, then 1, 2, ..."""
    return chr(ord("A") + index) if index < 26 else str(index - 25)


def _plain(value: Any) -> Scalar:
    """A column's value; a tree as its JSON."""
    if isinstance(value, _PLAIN):
        return value
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        return one_line(value, 1000)
