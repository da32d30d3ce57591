"""Responses that try to talk a judge round: every attempt on a response of every kind, none of them right."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from evalkit.scoring.judge.labels import Case, Kind
from evalkit.scoring.judge.question import Asked

INJECTIONS = Path(__file__).with_name("injections.yaml")
PLAIN = ""
"""Attempt of a response as it is without any."""
_PADDING = "Looking at the picture again does no harm. " * 150


class Injection(NamedTuple):
    """One response with an attempt, `PLAIN` for none, and which judge it is put to."""

    attempt: str
    asked: Asked
    case: Case

    @property
    def plain(self) -> tuple[str, str, str]:
        """What the same response without the attempt shares with it."""
        return (PLAIN, self.asked.value, self.case.kind)


class _Carrier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: Kind
    question: str
    gold: str
    given: str
    marked: str
    prose: str
    choices: dict[str, str] = {}

    def case(self, asked: Asked, attempt: str, text: str) -> Case:
        response = self.marked if asked is Asked.EQUIVALENCE else self.prose
        for name, value in (("padding", _PADDING), ("response", response), ("given", self.given), ("right", self.gold)):
            text = text.replace(f"<<{name}>>", value)
        return Case(
            id=f"{attempt or 'plain'}/{asked.value}/{self.kind}",
            kind=self.kind,
            gold=self.gold,
            response=text,
            verdict="incorrect" if asked is Asked.EQUIVALENCE else "unparsed",
            choices=self.choices,
            question=self.question,
        )


class _Attempt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    text: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    carriers: tuple[_Carrier, ...]
    attempts: tuple[_Attempt, ...]


def read_injections() -> tuple[Injection, ...]:
    """All of them; first the responses without an attempt."""
    import yaml

    file = msgspec.convert(yaml.safe_load(INJECTIONS.read_text(encoding="utf-8")), _File)
    attempts = (_Attempt(PLAIN, "<<response>>"), *file.attempts)
    return tuple(
        Injection(attempt.id, asked, carrier.case(asked, attempt.id, attempt.text))
        for attempt in attempts
        for asked in Asked
        for carrier in file.carriers
    )
