"""What a judge is, and the one that ships for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import msgspec

from evalkit.rulings import Ruling
from evalkit.scoring.judge.question import Question


@runtime_checkable
class Judge(Protocol):
    """The seam behind which every judge sits. `start` before the first question, `close` at the end."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What tells apart judges that might rule otherwise, once started; part of a run's configuration."""
        ...

    async def start(self) -> dict[str, Any]:
        """Reach the judge.

        Returns:
            What a run records of it beside the identity: JSON values.

        Raises:
            EvalkitError: it cannot be used, and what to do about it.
        """
        ...

    async def rule(self, question: Question) -> Ruling:
        """The judge's word; a judge that fails is a ruling too (`said.failed`), and never a guess."""
        ...

    def facts(self) -> dict[str, Any]:
        """What came to light since the start: how many were asked, what the cache held. JSON values."""
        ...

    async def close(self) -> None:
        """Free everything; safe to call twice."""
        ...


def identity_digest(identity: Mapping[str, Any]) -> str:
    """What a ruling keeps of its judge's identity."""
    return hashlib.sha256(msgspec.json.encode(identity, order="sorted")).hexdigest()[:16]


class FakeJudge:
    """A judge that says what a function says, for tests.

    Attributes:
        asked: every question, in order.
    """

    def __init__(self, answer: Callable[[Question], Ruling], name: str = "fake") -> None:
        """Make one.

        Args:
            answer: gives the ruling; its `judge` is filled in.
            name: its identity.
        """
        self.asked: list[Question] = []
        self._answer = answer
        self._name = name

    @property
    def identity(self) -> Mapping[str, Any]:
        """Its name."""
        return {"model": self._name}

    async def start(self) -> dict[str, Any]:
        """Nothing to reach."""
        return {"kind": "fake"}

    async def rule(self, question: Question) -> Ruling:
        """What the function says."""
        self.asked.append(question)
        return msgspec.structs.replace(self._answer(question), judge=identity_digest(self.identity))

    def facts(self) -> dict[str, Any]:
        """How many questions there were."""
        return {"asked": len(self.asked)}

    async def close(self) -> None:
        """Nothing to free."""
