"""Stopping a run when its gate's question is decided, without erring more often than a gate at the end.

The rows run in a random order, rows of one cluster together. A look rests on the first rows of that order, all of
them finished: which rows finish first, and how fast, changes nothing. Each rule is two tests with an error rate of its
own, spent over the looks by itself: that it fails, and that it passes. Either may end the run; since neither counts
on the other, that can only lower what they err (non-binding boundaries).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

import msgspec

from evalkit.records import AGENT, Record, Sample
from evalkit.runs.arms import Job
from evalkit.runs.looks import FAILED, PASSED, EarlyStop, Look, Tested
from evalkit.stats import Spending, StatsUnavailable, beyond, sequential_levels

Key = tuple[str, str, int]
LOOKS = 10
"""Looks at equal parts of the information, the last one when all rows are in."""
FAIL_ALPHA = 0.05
"""One-sided error rate of a failure, over all looks and all rules."""
PASS_ALPHA = 0.025
"""One-sided error rate of a rule's pass, over all looks."""
SPENDING = Spending.OBRIEN_FLEMING


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as two tests on the paired difference new - old of a yes or no per row.

    Attributes:
        rule: as written.
        value: this run's yes or no of a record; None where it has none.
        baseline: the baseline's yes or no by sample id, of the rows that have one.
        upwards: whether the rule bounds the difference from above.
        fail_limit: signed difference; beyond it the rule fails.
        pass_limit: signed difference; within it the rule passes.
    """

    rule: str
    value: Callable[[Record], bool | None]
    baseline: Mapping[str, bool]
    upwards: bool
    fail_limit: float
    pass_limit: float


def in_blocks(samples: Iterable[Sample], seed: int) -> list[Sample]:
    """The samples in a random order, those of one cluster together and in the order given."""
    blocks: dict[tuple[bool, str], list[Sample]] = {}
    for sample in samples:
        blocks.setdefault(_block(sample), []).append(sample)
    order = list(blocks.values())
    random.Random(seed).shuffle(order)
    return [sample for block in order for sample in block]


def looks_at(samples: Sequence[Sample], baseline: Iterable[str], looks: int = LOOKS) -> tuple[int, ...]:
    """After how many rows to look, so that each look adds about as many pairs; always at the end of a cluster.

    Args:
        samples: in the run's order, see `in_blocks`.
        baseline: ids that can be paired.
        looks: how many at most; fewer where there are few clusters.
    """
    known = set(baseline)
    total = sum(sample.id in known for sample in samples)
    planned: list[int] = []
    pairs = reached = 0
    for i, sample in enumerate(samples, 1):
        pairs += sample.id in known
        last_of_block = i == len(samples) or _block(samples[i]) != _block(sample)
        if total and last_of_block and pairs * looks // total > reached:
            reached = pairs * looks // total
            planned.append(i)
    return (*planned[:-1], len(samples)) if planned else ()


class Decider:
    """Takes the records as they come, looks when a look is due, and stops the run when all is said."""

    def __init__(
        self,
        stop: EarlyStop,
        questions: Sequence[Question],
        samples: Sequence[Sample],
        allowed_errors: float,
        saw: Callable[[], None] = lambda: None,
    ) -> None:
        """Start, or go on from the looks that were taken before.

        Args:
            stop: the rules and what was seen so far; looks are added to it.
            questions: one per rule.
            samples: all of the run, in its order.
            allowed_errors: share of a look's rows that may have failed; with more it is left out.
            saw: called after a look, when `stop` has it.
        """
        self.stop = stop
        self.samples = samples
        self._questions = questions
        self._allowed = allowed_errors
        self._saw = saw
        self._finished: dict[str, dict[str, bool | None]] = {}
        self._errors: set[str] = set()
        self._prefix = 0

    def add(self, record: Record) -> None:
        """One finished trajectory; those of other arms and repeats say nothing here."""
        if record.arm != AGENT or record.repeat:
            return
        id, failed = record.sample.id, record.outcome.verdict.is_error
        self._finished[id] = {q.rule: None if failed else q.value(record) for q in self._questions}
        (self._errors.add if failed else self._errors.discard)(id)
        while self._prefix < len(self.samples) and self.samples[self._prefix].id in self._finished:
            self._prefix += 1

    def look(self) -> None:
        """Take the looks that are due."""
        for rows in self.stop.planned:
            if self.stop.finished or rows > self._prefix:
                return
            if rows > max((look.rows for look in self.stop.looks), default=0):
                self._look(rows)

    def undecided(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """The jobs one by one, until the run is decided and the cluster that has begun is through.

        Where it was decided before, they are what is to be tried again, and all of them run.
        """
        block = None
        decided = bool(self.stop.decision)
        for job in jobs:
            if decided:
                yield job
                continue
            self.look()
            if self.stop.decision and _block(job.sample) != block:
                return
            block = _block(job.sample)
            yield job

    def close(self) -> bool:
        """Look at what came last, and take note where the run has stopped before its end; whether it is decided."""
        self.look()
        if self.stop.decision:
            there = len(self._finished)
            self.stop.stopped_after = there if there < len(self.samples) else None
            self._saw()
        return bool(self.stop.decision)

    def rows(self, done: Container[Key]) -> Sequence[Sample]:
        """What is to run, in order: all, or only those that have a record where it is decided."""
        if not self.stop.decision:
            return self.samples
        return [sample for sample in self.samples if (sample.id, AGENT, 0) in done]

    def _look(self, rows: int) -> None:
        seen = self.samples[:rows]
        if sum(sample.id in self._errors for sample in seen) > self._allowed * rows:
            return
        last = rows == len(self.samples)
        done = self.stop.decisions
        tested = tuple(self._test(q, seen, last) for q in self._questions if q.rule not in done)
        self.stop.looks.append(Look(rows=rows, last=last, tested=tested))
        self._saw()

    def _test(self, question: Question, seen: Sequence[Sample], last: bool) -> Tested:
        new, old, clusters = [], [], []
        for sample in seen:
            mine, theirs = self._finished[sample.id][question.rule], question.baseline.get(sample.id)
            if mine is not None and theirs is not None:
                new.append(mine)
                old.append(theirs)
                clusters.append(_block(sample))
        possible = sum(sample.id in question.baseline for sample in self.samples)
        earlier = [found.pairs for look in self.stop.looks for found in look.tested if found.rule == question.rule]
        sizes = (*earlier, len(new))
        fail_level = _level(sizes, possible, self.stop.fail_alpha / len(self._questions), self.stop.spending, last)
        pass_level = _level(sizes, possible, self.stop.pass_alpha, self.stop.spending, last)
        fail_p, pass_p = _p_values(question, new, old, clusters)
        decision = PASSED if pass_p <= pass_level else FAILED if fail_p <= fail_level else ""
        return Tested(
            rule=question.rule,
            pairs=len(new),
            only_new=sum(a and not b for a, b in zip(new, old, strict=True)),
            only_old=sum(b and not a for a, b in zip(new, old, strict=True)),
            fail_p=fail_p,
            fail_level=fail_level,
            pass_p=pass_p,
            pass_level=pass_level,
            decision=decision,
        )


@lru_cache(maxsize=4096)
def _level(sizes: tuple[int, ...], possible: int, alpha: float, spending: str, last: bool) -> float:
    """The nominal level of the newest look; 0 where nothing is new since the one before."""
    grown = [size for i, size in enumerate(sizes) if size > max(sizes[:i], default=0)]
    if not grown or grown[-1] != sizes[-1] or sizes[-1] in sizes[:-1]:
        return 0.0
    fractions = [size / possible for size in grown]
    return sequential_levels(fractions, alpha, Spending(spending), final=last)[-1]


def _p_values(
    question: Question, new: Sequence[bool], old: Sequence[bool], clusters: Sequence[object]
) -> tuple[float, float]:
    """One-sided p of "not beyond the fail limit" and of "not within the pass limit"; 1 where there is none."""
    try:
        if question.upwards:
            return (
                beyond(new, old, question.fail_limit, clusters),
                beyond(old, new, -question.pass_limit, clusters),
            )
        return beyond(old, new, -question.fail_limit, clusters), beyond(new, old, question.pass_limit, clusters)
    except StatsUnavailable:
        return 1.0, 1.0


def _block(sample: Sample) -> tuple[bool, str]:
    """What rows that are not independent share; a row of its own stands in a space of its own."""
    return (True, sample.cluster) if sample.cluster else (False, sample.id)
