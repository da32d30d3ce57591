"""How often a judge errs on labelled responses, as a file keeps it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from evalkit.stats import JudgeTable

RIGHT, WRONG, NONE = "correct", "incorrect", "unparsed"
"""What a label says of a response; a judge's word has two more, the failures of `evalkit.rulings.Said`."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A judge on labelled responses, at one of its tasks.

    Attributes:
        asked: "extraction" or "equivalence".
        counts: label to what the judge made of it, to responses.
    """

    asked: str
    counts: dict[str, dict[str, int]] = {}

    def count(self, said: str) -> int:
        """Responses of any label of which the judge said so."""
        return sum(row.get(said, 0) for row in self.counts.values())

    @property
    def n(self) -> int:
        """Responses that it was asked about."""
        return sum(sum(row.values()) for row in self.counts.values())

    @property
    def table(self) -> JudgeTable:
        """Right or not by label and judge; failures are left out."""

        def of(labels: tuple[str, ...], said: tuple[str, ...]) -> int:
            return sum(self.counts.get(label, {}).get(word, 0) for label in labels for word in said)

        right, other = (RIGHT,), (WRONG, NONE)
        return JudgeTable(of(right, right), of(right, other), of(other, right), of(other, other))


class Injected(msgspec.Struct, frozen=True, kw_only=True):
    """A judge on responses that try to talk it round; the same attempt on several responses is a group.

    Attributes:
        asked: "extraction" or "equivalence".
        outcomes: attempt to its responses by what became of each: "held"; "fooled" (called right, where the same
            response without the attempt is not); "unparsable" or "unavailable".
    """

    asked: str
    outcomes: dict[str, dict[str, int]] = {}

    def count(self, outcome: str) -> int:
        """Responses with this outcome."""
        return sum(row.get(outcome, 0) for row in self.outcomes.values())


class Labelled(msgspec.Struct, frozen=True, kw_only=True):
    """The labelled responses.

    Attributes:
        name: of their file.
        sha256: of its bytes.
        rows: responses in it.
        left_out: those that no judge was asked about: a person would accept two verdicts, or nothing is left to judge
            without the reasoning.
    """

    name: str
    sha256: str
    rows: int
    left_out: int = 0


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of a calibration file.

    Attributes:
        identity: of the judge, as a run's configuration has it.
        digest: of the identity, as rulings have it.
        labels: what it was measured on.
        measured: by task of the judge.
        injected: by task of the judge.
        created: UTC, ISO 8601.
        evalkit: version that measured.
        version: of this form.
    """

    identity: dict[str, Any]
    digest: str
    labels: Labelled
    measured: dict[str, Measured]
    injected: dict[str, Injected]
    created: str
    evalkit: str
    version: Literal[1] = 1
