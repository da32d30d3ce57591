"""Benchmarks of other programs, of which evalkit has nothing but the recorded rows and the verdicts on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar

from evalkit.errors import EvalkitError, one_line
from evalkit.records import Outcome, Record, Sample, StopReason, Trajectory, Verdict
from evalkit.task import DataSource, Metric, Task

PREFIX = "recorded:"
"""Begins the name of every such benchmark, so that nobody takes it for one that evalkit scores."""
SOURCE = "recorded"
"""Where its rows come from, as a configuration says it."""
REASON = "recorded"
"""How its answers were found."""

_STOPPED = {
    StopReason.LIMIT_TURNS: Verdict.LIMIT_TURNS,
    StopReason.LIMIT_TOKENS: Verdict.LIMIT_TOKENS,
    StopReason.LIMIT_TIME: Verdict.LIMIT_TIME,
    StopReason.GAVE_UP: Verdict.UNPARSED,
}
_FAILED = {
    StopReason.ENGINE_ERROR: Verdict.ENGINE_ERROR,
    StopReason.SANDBOX_ERROR: Verdict.SANDBOX_ERROR,
    StopReason.DATA_ERROR: Verdict.DATA_ERROR,
}


class RecordedTask(Task):
    """A benchmark whose verdicts are those of its recording; evalkit scores nothing of it, and cannot run it.

    Its figures are the means of the recording's own scores (`Outcome.scores`), by name.
    """

    name: ClassVar[str] = PREFIX.rstrip(":")
    summary: ClassVar[str] = "rows, responses and verdicts of another program"
    reads: ClassVar[tuple[str, ...]] = (SOURCE,)

    @classmethod
    def kind(cls, name: str) -> type[RecordedTask]:
        """The benchmark called `name` in a recording (with or without `PREFIX`), as a class of its own."""
        full = name if name.startswith(PREFIX) else f"{PREFIX}{name}"
        return type("RecordedTask", (cls,), {"name": full, "__module__": __name__})

    @classmethod
    def called(cls, name: str) -> RecordedTask:
        """The benchmark called `name` in a recording."""
        return cls.kind(name)(DataSource(kind=SOURCE), Path())

    @classmethod
    def default_source(cls) -> str:
        """The recording."""
        return SOURCE

    def samples(self) -> Iterable[Sample]:
        """There are none beside those of the run folder.

        Raises:
            EvalkitError: always.
        """
        raise EvalkitError(f"{self.name} is known from a recording alone: it can be compared and shown, not run")

    def score(self, sample: Sample, response: str) -> Outcome:
        """There is no rule.

        Raises:
            EvalkitError: always.
        """
        raise EvalkitError(unscorable(self.name))

    def metrics(self, records: Sequence[Record]) -> tuple[Metric, ...]:
        """The mean of each of the recording's scores over the rows that have a number for it."""
        found: dict[str, list[float]] = {}
        for record in records:
            for name, value in record.outcome.scores.items():
                if (number := number_of(value)) is not None:
                    found.setdefault(name, []).append(number)
        return tuple(_mean(name, values) for name, values in found.items())


def recorded_outcome(
    trajectory: Trajectory,
    scores: Mapping[str, Any],
    main: str | None,
    scorer: str,
    answer: str | None = None,
) -> Outcome:
    """What a recording says of one row, as it says it.

    Full marks in `main` are right, anything less is not: how far a score between 0 and 1 goes is for its mean to say.
    A row without a mark in `main` has no score, and is an error. A row that failed has none either, whatever its
    marks: they were given to nothing. One that hit a limit is right only if the recording says so.

    Args:
        trajectory: for why it ended.
        scores: all of the recording's marks by name; numbers, truth values, "C" and "I" (Inspect's), or anything
            else, which is kept and read by nobody.
        main: the name of the mark that decides; None where the recording has none.
        scorer: the recording's program and rule, e.g. "inspect/choice".
        answer: what its rule took for the answer.
    """
    kept = dict(scores)
    if failed := _FAILED.get(trajectory.stop):
        return Outcome(verdict=failed, error=trajectory.error, scorer=scorer, scores=kept)
    mark = None if main is None else number_of(scores.get(main))
    if mark is None:
        why = "the recording has no score" if main is None else f"the recording has no number for {one_line(main, 60)}"
        return Outcome(verdict=Verdict.JUDGE_ERROR, error=why, scorer=scorer, scores=kept)
    verdict = Verdict.CORRECT if mark >= 1 else _STOPPED.get(trajectory.stop, Verdict.INCORRECT)
    return Outcome(verdict=verdict, answer=answer, reason=REASON, scorer=scorer, scores=kept)


_LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}


def number_of(mark: object) -> float | None:
    """A mark as a number; None where it is none (Inspect writes C, I, P and N for 1, 0, 0.5 and 0)."""
    if isinstance(mark, str):
        return _LETTERS.get(mark)
    if isinstance(mark, Real):
        value = float(mark)
        return value if value == value and abs(value) != float("inf") else None
    return None


def unscorable(name: str) -> str:
    """What is said of a recorded benchmark that evalkit is asked to score."""
    return f"the verdicts of {name} are its recording's own: evalkit has no rule to score it by"


def _mean(name: str, values: Sequence[float]) -> Metric:
    share = all(0 <= value <= 1 for value in values)
    return Metric(
        name=f"mean.{name}",
        value=sum(values) / len(values),
        n=len(values),
        unit="share" if share else "value",
        note="the recording's own score",
    )
