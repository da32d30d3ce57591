"""A task of lmms-eval as a task of evalkit: its documents, its prompts, its scoring."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

import msgspec

from evalkit.bridges.lmms.answers import handed_over
from evalkit.bridges.lmms.child import Child, Figure, Question, Scored
from evalkit.bridges.lmms.install import installed
from evalkit.bridges.lmms.listing import Listed, cache_folder, keep, listing
from evalkit.bridges.lmms.options import options_of
from evalkit.errors import EvalkitError, one_line
from evalkit.images import ImageFile
from evalkit.recorded import number_of
from evalkit.records import Outcome, Record, Sample, StopReason, Verdict
from evalkit.runs.outcome import said
from evalkit.task import DataSource, HubDataset, Metric, Option, Task

PREFIX = "lmms:"
"""Begins the name of every such task."""
HERE: dict[str, Loaded] = {}
"""Tasks that lmms-eval has loaded in this process, where evalkit is its model."""
GUESSED = "guessed"
"""Reason code: the task's scorer found no answer and drew one at random."""
_VERSION = "lmms_eval"
_LONGEST_ANSWER = 400


class Host(Protocol):
    """Where a task is asked: `Child`, or lmms-eval's own process."""

    def questions(self) -> Iterator[tuple[int, Question]]:
        """See `Child.questions`."""

    def image(self, index: int, which: int) -> Path:
        """See `Child.image`."""

    def expect(self, rows: list[tuple[int, str]]) -> None:
        """See `Child.expect`."""

    def score(self, index: int, text: str) -> Scored:
        """See `Child.score`."""

    def aggregate(self, rows: list[tuple[int, str]]) -> dict[str, Figure]:
        """See `Child.aggregate`."""


class Loaded(NamedTuple):
    """A task that lmms-eval has loaded in this process, with its data set and lmms-eval's version."""

    host: Host
    hub: HubDataset
    version: str


class LmmsTask(Task):
    """One task of the installed lmms-eval.

    Its `process_results` scores every response, and its metrics stand in `Outcome.scores`. Right is full marks in the
    first metric, in the task's order, that has a number for the row alone. Its aggregations are its own figures.
    """

    name: ClassVar[str] = PREFIX.rstrip(":")
    reads: ClassVar[tuple[str, ...]] = ("hub", "folder")
    foreign: ClassVar[bool] = True
    options: ClassVar[Mapping[str, Option]] = {_VERSION: ""}

    def __init__(self, source: DataSource, folder: Path, options: Mapping[str, str] | None = None) -> None:
        super().__init__(source, folder, options)
        self._host: Host | None = None

    @classmethod
    def kind(cls, name: str, hub: HubDataset | None = None) -> type[LmmsTask]:
        """The task called `name` (with `PREFIX`), as a class of its own."""
        return type("LmmsTask", (cls,), {"name": name, "hub": hub, "__module__": __name__})

    @classmethod
    def default_source(cls) -> str:
        """The data set that lmms-eval names."""
        return "hub"

    @property
    def host(self) -> Host:
        """lmms-eval with this task.

        Raises:
            EvalkitError: there is no lmms-eval, it is another one than the run had, or the task cannot be run.
        """
        here = HERE.get(self.name.removeprefix(PREFIX)) if self._host is None else None
        if here is not None:
            self._host, self.settings[_VERSION] = here.host, here.version
        if self._host is None:
            install = installed()
            if (asked := self.settings[_VERSION]) not in ("", install.version):
                raise EvalkitError(f"lmms-eval {install.version} is installed, and {self.name} is asked for {asked}")
            listed = listing(install).tasks.get(self.name.removeprefix(PREFIX))
            if listed is None:
                raise EvalkitError(f"lmms-eval {install.version} has no task {self.name.removeprefix(PREFIX)} any more")
            check(listed)
            self.settings[_VERSION] = install.version
            self._host = Child(install, listed, self.source.path)
        return self._host

    def samples(self) -> Iterable[Sample]:
        """The documents, in lmms-eval's order; a row's id is its number there.

        Raises:
            EvalkitError: see `host`; or a document cannot be asked.
        """
        host = self.host
        for index, question in host.questions():
            yield _sample(host, index, question)

    def expect(self, answers: Sequence[tuple[Sample, str]]) -> None:
        """Have them scored together: each word to lmms-eval and back costs a change of processes."""
        self.host.expect([(int(sample.id), handed_over(text, sample.question)[0]) for sample, text in answers])

    def score(self, sample: Sample, response: str) -> Outcome:
        """The task's own verdict.

        Raises:
            EvalkitError: its code failed, or gave a number that is none between 0 and 1.
        """
        text, reason = handed_over(response, sample.question)
        scored = self.host.score(int(sample.id), text)
        return _outcome(scored, text, reason, f"{self.name}/{self.settings[_VERSION]}")

    def metrics(self, records: Sequence[Record]) -> tuple[Metric, ...]:
        """The task's aggregations over the rows that have a score; kept on disk, as they take lmms-eval's start.

        A row without an answer counts as an empty one.
        """
        scored = [record for record in records if not record.outcome.verdict.is_error]
        rows = [(int(record.sample.id), _response(record)) for record in scored]
        if not rows:
            return ()
        figures = self._kept(rows)
        left = f"; {len(records) - len(rows)} rows without a score are left out" if len(rows) < len(records) else ""
        if isinstance(figures, str):
            return tuple(_means(scored, figures + left))
        return tuple(_metric(name, figure, left) for name, figure in figures.items())

    def _kept(self, rows: Sequence[tuple[int, str]]) -> dict[str, Figure] | str:
        """The figures, or why they cannot be had."""
        version, source = self.settings[_VERSION], self.source.path or self.source.hub
        what = msgspec.json.encode((self.name, version, str(source), sorted(rows)))
        file = cache_folder() / f"figures-{hashlib.sha256(what).hexdigest()[:32]}.json"
        try:
            return msgspec.json.decode(file.read_bytes(), type=dict[str, Figure])
        except (OSError, msgspec.MsgspecError):
            pass
        try:
            figures = self.host.aggregate(list(rows))
        except EvalkitError as error:
            return one_line(error)
        keep(file, msgspec.json.encode(figures))
        return figures


def check(listed: Listed) -> None:
    """Refuse a task that evalkit cannot run.

    Raises:
        EvalkitError: it is of another kind.
    """
    if listed.refusal:
        raise EvalkitError(f"task {PREFIX}{listed.name}: {listed.refusal}")


def _sample(host: Host, index: int, question: Question) -> Sample:
    images = tuple(_image(host, index, which, *mark) for which, mark in enumerate(question.images))
    marks = ",".join(mark for mark, _ in question.images)
    return Sample(
        id=str(index),
        question=question.text,
        images=images,
        answer=question.target,
        choices=options_of(question.text, question.target, question.choices),
        category=question.category,
        cluster=hashlib.sha256(marks.encode()).hexdigest()[:12] if marks else "",
        system=question.system,
    )


def _image(host: Host, index: int, which: int, mark: str, size: int | None) -> ImageFile:
    return ImageFile(
        lambda: host.image(index, which).read_bytes(), f"{index}-{which}", size=lambda: size, mark=lambda: mark
    )


def _outcome(scored: Scored, text: str, reason: str, scorer: str) -> Outcome:
    value = scored.value
    if value is None:
        raise EvalkitError("none of its metrics has a number for this row alone")
    if not 0 <= value <= 1:
        raise EvalkitError(
            f"its {one_line(scored.metric, 60)} is {value:g} here, and full marks are not known beyond 1"
        )
    # no answer, or one that the scorer made up: some take an option at random
    none = scored.guessed or (value < 1 and not text.strip())
    return Outcome(
        verdict=Verdict.UNPARSED if none else Verdict.CORRECT if value == 1 else Verdict.INCORRECT,
        answer=text if not none and len(text) <= _LONGEST_ANSWER else None,
        reason=GUESSED if scored.guessed else reason,
        scorer=scorer,
        scores=scored.items,
    )


def _response(record: Record) -> str:
    """What was scored of a record; nothing where it came to no end of its own."""
    if record.trajectory.stop not in (StopReason.ANSWERED, StopReason.ENDED):
        return ""
    return handed_over(said(record.trajectory), record.sample.question)[0]


def _metric(name: str, figure: Figure, left: str) -> Metric:
    value = number_of(figure.value)
    note = figure.note or ("" if value is not None else f"it is no number: {one_line(figure.value, 120)}")
    share = value is not None and 0 <= value <= 1
    return Metric(
        name=name, value=value, n=figure.n, unit="share" if share else "value", note=(note + left).removeprefix("; ")
    )


def _means(records: Sequence[Record], why: str) -> Iterable[Metric]:
    """The metrics with plain numbers, as means; of the others nothing can be said here."""
    found: dict[str, list[float | None]] = {}
    for record in records:
        for name, item in record.outcome.scores.items():
            found.setdefault(name, []).append(number_of(item))
    for name, values in found.items():
        known = [value for value in values if value is not None]
        mean = sum(known) / len(known) if len(known) == len(values) else None
        note = f"the mean over rows; lmms-eval's own aggregation is not to be had: {why}"
        yield Metric(name=name, value=mean, n=len(values), unit="value", note=note)
