"""Labelled responses that a judge is measured on; the shipped ones are also those that evalkit's rules must meet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from evalkit.calibration import Labelled
from evalkit.errors import DataError, one_line
from evalkit.records import Outcome, Verdict
from evalkit.rulings import Ruling
from evalkit.scoring import score_choice, score_list, score_number
from evalkit.scoring.extract import stated
from evalkit.scoring.judge.question import Asked, Question
from evalkit.scoring.judge.steps import with_ruling
from evalkit.yaml_text import parse_yaml

HARD_RESPONSES = Path(__file__).with_name("hard_responses.yaml")
"""Responses of our own making, hard to read, with a careful person's verdict."""
_SCORER = "labels/1"
_QUESTIONS = {
    "choice": "Which of the options is right?",
    "number": "What is the number that is asked for?",
    "list": "What is the list that is asked for?",
    "text": "What is the answer?",
}

Kind = Literal["choice", "number", "list", "text"]
Label = Literal["correct", "incorrect", "unparsed"]


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One labelled response.

    Attributes:
        id: unique.
        kind: of the answer that is asked for. No rule compares free text, so only the comparing judge is asked there.
        gold: the right answer; for a choice its letter.
        response: what a model said.
        verdict: a careful person's; "unparsed" where the response gives no one answer.
        choices: option letter to text; in a YAML file the name of a set of them will do.
        question: as the model got it; a general one where it is not known.
        precision: decimals that count, of a number.
        unit: that a number is asked for in.
        repeat: how often the response stands in a row.
        also: a second verdict that a person would accept.
        answer: what the response answers.
        why: the verdict's reason.
    """

    id: str
    kind: Kind
    gold: str
    response: str
    verdict: Label
    choices: dict[str, str] | str = {}
    question: str = ""
    precision: int | None = None
    unit: str = ""
    repeat: int = 1
    also: Literal["unparsed"] | None = msgspec.field(name="or", default=None)
    answer: str | None = None
    why: str = ""

    @property
    def options(self) -> dict[str, str]:
        """Option letter to text."""
        return self.choices if isinstance(self.choices, dict) else {}

    @property
    def whole(self) -> str:
        """The response as the model gave it."""
        return self.response * self.repeat

    def score(self, response: str) -> Outcome:
        """The rules' verdict on any response to it; no rule compares free text."""
        if self.kind == "choice":
            return score_choice(response, self.options, self.gold, _SCORER)
        if self.kind == "list":
            return score_list(response, self.gold, _SCORER)
        return score_number(response, self.gold, _SCORER, precision=self.precision, unit=self.unit)

    def asked(self, asked: Asked) -> Question | None:
        """What a judge is asked about it; None where there is nothing to ask."""
        text = stated(self.whole).strip()
        if not text or (asked is Asked.EXTRACTION and self.kind == "text"):
            return None
        places = "" if self.precision is None else f", with {self.precision} decimal places if the reply has them"
        unit = f"; the question asks for {self.unit}, and another unit must be written behind it" if self.unit else ""
        form = {"number": f"a number in digits{places}{unit}", "list": "a list such as [1, 2, 3]"}.get(self.kind, "")
        return Question(
            asked=asked,
            question=self.question or _QUESTIONS[self.kind],
            response=text,
            choices=self.options,
            form=form,
            reference=f"{self.gold} {self.unit}".strip() if asked is Asked.EQUIVALENCE else "",
        )

    def judged(self, ruling: Ruling) -> str:
        """What a judge's word comes to: a verdict, or its failure."""
        if ruling.said.failed:
            return ruling.said.value
        return with_ruling(Outcome(verdict=Verdict.UNPARSED, scorer=_SCORER), ruling, self.score).verdict.value


class LabelledSet(NamedTuple):
    """Labelled responses, and where they are from."""

    cases: tuple[Case, ...]
    about: Labelled


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cases: tuple[Case, ...]
    choices: dict[str, dict[str, str]] = {}


def read_labels(file: Path) -> LabelledSet:
    """The labelled responses of a file that a judge is asked about.

    A `.jsonl` file has one case a line. A `.yaml` file has a list `cases`, and may have named `choices`.

    Raises:
        DataError: it cannot be read, a case is not what it should be, or there are not both right and other ones.
    """
    try:
        data = file.read_bytes()
        found = _jsonl(data) if file.suffix == ".jsonl" else _yaml(data)
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        why = one_line(getattr(error, "strerror", None) or error)
        raise DataError(f"cannot read the labels {file}: {why} (docs/judge.md has the form)") from None
    cases = [_with_options(case, found.choices, file) for case in found.cases]
    _check(cases, file)
    kept = tuple(case for case in cases if case.also is None and stated(case.whole).strip())
    if len({case.verdict == "correct" for case in kept}) < 2:
        raise DataError(f"{file}: a judge is measured on right responses and on others; label some of both")
    digest = hashlib.sha256(data).hexdigest()
    about = Labelled(name=one_line(file.name, 120), sha256=digest, rows=len(cases), left_out=len(cases) - len(kept))
    return LabelledSet(kept, about)


def _yaml(data: bytes) -> _File:
    return msgspec.convert(parse_yaml(data), _File)


def _jsonl(data: bytes) -> _File:
    lines: Callable[[bytes], list[Case]] = msgspec.json.Decoder(Case).decode_lines
    return _File(tuple(lines(data)))


def _with_options(case: Case, sets: dict[str, dict[str, str]], file: Path) -> Case:
    if isinstance(case.choices, str):
        if case.choices not in sets:
            raise DataError(f"{file}: {_name(case)} names the choices {case.choices[:40]!r}, which are not in the file")
        case = msgspec.structs.replace(case, choices=sets[case.choices])
    if case.kind == "choice" and case.gold not in case.options:
        raise DataError(f"{file}: the right answer of {_name(case)} is none of its choices")
    return case


def _check(cases: list[Case], file: Path) -> None:
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise DataError(f"{file}: {_name(case)} is there twice")
        seen.add(case.id)
        if case.repeat < 1 or (case.precision is not None and case.precision < 0):
            raise DataError(f"{file}: {_name(case)}: repeat must be at least 1 and precision at least 0")


def _name(case: Case) -> str:
    return f"case {one_line(case.id, 80)!r}"
