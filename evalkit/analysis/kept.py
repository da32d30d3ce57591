"""What is kept of a trajectory to compare runs: who was right under either rule, calls, tokens and times, no texts."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

import msgspec

from evalkit.analysis.rollout import Rollout
from evalkit.analysis.transitions import verdict_name
from evalkit.records import CallStatus, Outcome, Record, Rule, Verdict
from evalkit.runs.store import read_records


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One trajectory.

    Attributes:
        id: the sample's.
        category: the task's main grouping.
        cluster: as the task names it; "" where the sample stands alone.
        options: the sample's choices; 0 for a free-form question.
        question: digest of the question, its options and its reference answer.
        images: digest of the images' contents; "" where the run has none.
        prompt: digest of the text that was sent first.
        expected: the reference answer.
        arm: see `Record`.
        repeat: see `Record`.
        verdict: under evalkit's own rule.
        official: right under the benchmark's official rule; None where it gave no verdict.
        answer: what evalkit's rule read.
        official_answer: what the official rule read.
        reason: how the answer was found, or why there is none.
        error: one line, for the error verdicts.
        scorer: rule and version that gave the verdict.
        calls: dispatched calls; None where only the last response is known.
        calls_ok: those of them that succeeded.
        emitted: calls of any kind in the model's text; None where only the last response is known.
        prompt_tokens: over all turns.
        completion_tokens: over all turns.
        seconds: wall time as run.
    """

    id: str
    category: str = ""
    cluster: str = ""
    options: int = 0
    question: str = ""
    images: str = ""
    prompt: str = ""
    expected: str = ""
    arm: str
    repeat: int = 0
    verdict: Verdict
    official: bool | None = None
    answer: str | None = None
    official_answer: str | None = None
    reason: str = ""
    error: str = ""
    scorer: str = ""
    calls: int | None = None
    calls_ok: int | None = None
    emitted: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None

    @property
    def outcome(self) -> Outcome:
        """The score again."""
        return Outcome(
            verdict=self.verdict,
            answer=self.answer,
            reason=self.reason,
            official=self.official,
            official_answer=self.official_answer,
            error=self.error,
            scorer=self.scorer,
        )

    @property
    def group(self) -> str:
        """What samples that are not independent share; a sample's own id stands in a space of its own."""
        return f"cluster {self.cluster}" if self.cluster else f"sample {self.id}"

    def named(self, rule: Rule) -> str:
        """The verdict as a reader sees it."""
        return verdict_name(self.outcome, rule)

    def read(self, rule: Rule) -> str | None:
        """What the rule took for an answer."""
        return self.answer if rule is Rule.STRICT else self.official_answer

    def rollout(self, rule: Rule) -> Rollout:
        """The same for the figures about need; see `evalkit.analysis.rollout`."""
        if rule is Rule.OFFICIAL:
            answer = self.official_answer
        else:
            answer = self.answer if self.verdict in (Verdict.CORRECT, Verdict.INCORRECT) else None
        return Rollout(
            id=self.id,
            category=self.category,
            cluster=self.cluster or self.id,
            options=self.options,
            arm=self.arm,
            repeat=self.repeat,
            right=self.outcome.right(rule),
            answer=answer,
            error=self.verdict.is_error,
            calls=self.calls,
            emitted=self.emitted,
            tokens=None if self.calls is None else self.completion_tokens,
            seconds=self.seconds,
        )


def read_kept(folder: Path, arms: Collection[str] | None = None) -> list[Kept]:
    """What is kept of a run, read line by line so that no more than one trajectory is held.

    Args:
        folder: the run folder.
        arms: those wanted; None for all.

    Raises:
        DataError: a line is corrupt.
    """
    # a later line with the same key supersedes an earlier one and keeps its place
    found = {r.key: kept_of(r) for r in read_records(folder) if arms is None or r.arm in arms}
    return list(found.values())


def kept_of(record: Record) -> Kept:
    """What is kept of one record."""
    sample, trajectory, outcome = record.sample, record.trajectory, record.outcome
    usage, statuses = trajectory.usage, [call.status for call in trajectory.calls]
    known = not trajectory.partial
    return Kept(
        id=sample.id,
        category=sample.category,
        cluster=sample.cluster,
        options=len(sample.choices),
        question=_digest(sample.question, *(f"{x} {text}" for x, text in sample.choices.items()), sample.answer),
        images=_digest(*(image.header.sha256 for image in sample.images)) if sample.images else "",
        prompt=_digest(trajectory.prompt),
        expected=sample.answer,
        arm=record.arm,
        repeat=record.repeat,
        verdict=outcome.verdict,
        official=outcome.official,
        answer=outcome.answer,
        official_answer=outcome.official_answer,
        reason=outcome.reason,
        error=outcome.error,
        scorer=outcome.scorer,
        calls=sum(status.dispatched for status in statuses) if known else None,
        calls_ok=sum(status is CallStatus.OK for status in statuses) if known else None,
        emitted=len(statuses) if known else None,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        seconds=trajectory.total_s,
    )


def _digest(*parts: str) -> str:
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        sha.update(len(data).to_bytes(8, "little") + data)
    return sha.hexdigest()[:16]
