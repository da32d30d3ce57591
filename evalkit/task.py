"""What a benchmark adapter implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from evalkit.errors import EvalkitError, unknown
from evalkit.prompts import PromptColumns, prompted
from evalkit.records import Outcome, Record, Sample
from evalkit.rulings import Ruling

if TYPE_CHECKING:
    from evalkit.scoring.judge.question import Asked, Question


class HubDataset(msgspec.Struct, frozen=True, kw_only=True):
    """A data set on the Hugging Face hub.

    Attributes:
        id: "owner/name".
        split: the split to load.
        config: configuration name, "" for the default.
        revision: commit or tag; None takes the newest and records what it got.
    """

    id: str
    split: str
    config: str = ""
    revision: str | None = None


class DataSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where a task's rows come from.

    Attributes:
        kind: "hub", "folder" (the official layout), "tsv" (VLMEvalKit's tables), "sample" (the task's own
            small set), or "generated" (the task makes its rows itself).
        path: the folder or the table, for "folder" and "tsv".
        hub: the data set, for "hub".
    """

    kind: str
    path: Path | None = None
    hub: HubDataset | None = None


class Metric(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One figure of a benchmark.

    Attributes:
        name: e.g. "score_strict".
        value: None when it is not available; then `note` says why.
        n: size of the denominator.
        count: size of the numerator, where the figure is a share.
        unit: "share" (0..1) or "count".
        note: anything a reader must know to read the figure right.
    """

    name: str
    value: float | None
    n: int
    count: float | None = None
    unit: str = "share"
    note: str = ""

    @classmethod
    def share(cls, name: str, right: Sequence[bool], note: str = "") -> Metric:
        """The share of `right` that is true; not available without rows."""
        n = len(right)
        return cls(name=name, value=sum(right) / n if n else None, n=n, count=sum(right), note=note or _no_rows(n))


def _no_rows(n: int) -> str:
    return "" if n else "no such rows"


Option = bool | int | float | str


class Task(ABC):
    """A benchmark: where its rows are, how a response is scored, how scores become its figures.

    A task folder's `task.py` defines one or more subclasses; see `evalkit.content` for how they are found.

    Attributes:
        name: what `--tasks` takes.
        version: raised whenever a change of prompt, data or rule can change a score.
        summary: one line for `evalkit tasks`.
        hub: the default hub data set, None when there is none.
        mirrors: other hub data sets with the same rows, taken with `--data owner/name`.
        reads: the kinds of `DataSource` it can take rows from.
        group: a name that stands for several tasks at once; "" for none.
        foreign: its rows and rules are another harness's: where they fail, the other tasks of a command go on.
        official: whether `score` gives a verdict under the benchmark's official rule too.
        judge_for: what a judge is asked for this task, where the user brings one; None for nothing. The rules come
            first: see `judge_question`.
        options: option name to default; set with `--task-option name=value`, typed like the default.
        aliases: names that other harnesses use for the same set.
        revision: the commit that hub data came from, once loaded; None where the hub could not tell.
        prompts: columns of its rows that the user wants prompts from.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    summary: ClassVar[str] = ""
    hub: ClassVar[HubDataset | None] = None
    mirrors: ClassVar[tuple[HubDataset, ...]] = ()
    reads: ClassVar[tuple[str, ...]] = ("hub", "folder", "sample")
    group: ClassVar[str] = ""
    foreign: ClassVar[bool] = False
    official: ClassVar[bool] = False
    judge_for: ClassVar[Asked | None] = None
    options: ClassVar[Mapping[str, Option]] = {}
    aliases: ClassVar[tuple[str, ...]] = ()

    def __init__(self, source: DataSource, folder: Path, options: Mapping[str, str] | None = None) -> None:
        """Open the task without loading anything.

        Args:
            source: where rows come from.
            folder: the task's own folder (where `sample/` is).
            options: as given on the command line.

        Raises:
            EvalkitError: an option the task does not have, or a value of the wrong type.
        """
        self.source = source
        self.revision: str | None = None
        self.prompts = PromptColumns()
        self.folder = folder
        self.settings = _typed(self.name, self.options, options or {})

    @property
    def expected_rows(self) -> int | None:
        """Rows the complete data set has under these options."""
        return None

    @classmethod
    def default_source(cls) -> str:
        """The data source that is used when none is named."""
        return "hub" if cls.hub is not None else "sample"

    @abstractmethod
    def samples(self) -> Iterable[Sample]:
        """The rows, in the benchmark's order, images not read yet.

        Raises:
            DataError: a file, a column or a row is missing or double; the message names it.
        """

    def prompted(self, sample: Sample, row: Mapping[str, Any], where: str) -> Sample:
        """`sample` with the prompts that the user wants from its row; a task with rows calls it for each.

        Args:
            sample: as the task made it.
            row: with all of its columns but the images.
            where: how messages name the row.

        Raises:
            DataError: the row has no such column, or no prompt in it.
        """
        return prompted(sample, self.prompts, row, where) if self.prompts else sample

    @abstractmethod
    def score(self, sample: Sample, response: str) -> Outcome:
        """The verdict on a complete response. Deterministic; never raises on any text."""

    def expect(self, answers: Sequence[tuple[Sample, str]]) -> None:  # noqa: B027
        """Told which responses `score` gets next, where many wait: for a task that has them scored elsewhere."""

    def answer_form(self, sample: Sample) -> str:
        """How a judge is to write the answer to an open question, e.g. "a whole number"."""
        return ""

    def judge_question(self, sample: Sample, response: str, outcome: Outcome) -> Question | None:
        """What a judge is asked once the rules gave `outcome`; None where the rules' word stands.

        With `judge_for` extraction: where they read no answer. With equivalence: where they do not say correct.
        """
        from evalkit.scoring.judge.steps import question_for

        return question_for(self.judge_for, sample, response, outcome, self.answer_form(sample))

    def after_judge(self, sample: Sample, response: str, outcome: Outcome, ruling: Ruling) -> Outcome:
        """The outcome with a judge's word, which is no failure.

        An extracted answer is scored by `score`, as an answer that the response had marked. The official verdict stays.
        """
        from evalkit.scoring.judge.steps import with_ruling

        return with_ruling(outcome, ruling, lambda answer: self.score(sample, answer))

    def metrics(self, records: Sequence[Record]) -> tuple[Metric, ...]:
        """The benchmark's own figures, beyond accuracy, from one arm's records.

        Those of a run folder stay on disk: a trajectory is read each time it is asked for, and soonest while its
        record's turn is. Go through them once.
        """
        return ()


_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def _typed(task: str, known: Mapping[str, Option], given: Mapping[str, str]) -> dict[str, Option]:
    settings = dict(known)
    for name, text in given.items():
        if name not in known:
            raise unknown(f"option of task {task}", name, known, f"evalkit tasks {task}")
        kind = type(known[name])
        try:
            settings[name] = _TRUTH[text.lower()] if kind is bool else kind(text)
        except (ValueError, KeyError):
            raise EvalkitError(f"option {name} of task {task} takes {kind.__name__}, not {text!r}") from None
    return settings
