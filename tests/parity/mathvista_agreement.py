"""How far evalkit's reading of recorded MathVista responses agrees with the recorded verdicts, and why not.

`python -m tests.parity.mathvista_agreement` prints the table, with `--rows MODEL` every row on which they
disagree; `--write` pins the counts beside this file, which the parity test compares with. The recorded verdicts
rest on answers that a language model extracted; evalkit's own on its extraction alone, without a judge.
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.content import find_tasks, open_task
from evalkit.errors import one_line
from evalkit.images import ImageFile
from evalkit.records import Outcome, Sample, Verdict

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[2] / "shared" / "data" / "mathvista"
PINNED = HERE / "mathvista_agreement.json"
MODELS = {
    "bard": 348,
    "gpt4_2shot_solution_use_ocr": 321,
    "chatgpt_2shot_code_use_ocr": 298,
    "idefics_9b_instruct": 200,
    "instruct_blip2_vicuna_13b": 254,
    "llavar": 252,
    "frequent_guess": 263,
}
"""Recorded outputs, and the rows right under today's official rule on the recorded extraction."""

NO_IMAGE = ImageFile.from_bytes(b"", "none")

EMPTY = "nothing was answered; the official rule takes the shortest choice"
NEAREST = "the recorded extraction is no choice; the official rule takes the nearest"
TRUNCATED = "the official rule cuts the recorded number to a whole one"
STALE = "the recorded extraction is of another response (the row's question was changed later)"
PROGRAM = "the response is a program; the recorded extraction is what it might print"
UNREAD = "evalkit reads no answer"
OTHER = "evalkit reads another answer"


class Disagreement(NamedTuple):
    """A row whose recorded verdict is not evalkit's."""

    pid: str
    recorded: bool
    reason: str
    outcome: Outcome
    row: dict[str, Any]


class Agreement(NamedTuple):
    """One model's rows: how many are right by whose verdict, and those on which the verdicts differ."""

    recorded: int
    strict: int
    official: int
    disagreements: list[Disagreement]

    def counts(self) -> dict[str, Any]:
        """The form in which it is pinned."""
        return {
            "recorded": self.recorded,
            "strict": self.strict,
            "official": self.official,
            "agree": 1000 - len(self.disagreements),
            "recorded_only": dict(sorted(Counter(d.reason for d in self.disagreements if d.recorded).items())),
            "evalkit_only": {d.pid: d.reason for d in self.disagreements if not d.recorded},
        }


def module(name: str) -> Any:
    """A module of the task, as the task's loader imports it."""
    return importlib.import_module(f"{package()}.{name}")


@cache
def package() -> str:
    kind = find_tasks()["mathvista"].kind
    assert kind is not None
    return kind.__module__


@cache
def read(name: str) -> Any:
    """A JSON file of the real data."""
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def recorded(model: str) -> dict[str, dict[str, Any]]:
    """A model's recorded rows by pid."""
    found: dict[str, dict[str, Any]] = read(f"official_outputs/output_{model}")
    return found


@cache
def samples() -> dict[str, Sample]:
    """The 1,000 rows, without their images."""
    rows = module("rows")
    return {pid: rows.sample_of(row, NO_IMAGE, "testmini", "mathvista", "") for pid, row in read("testmini").items()}


def agreement(model: str) -> Agreement:
    """Score a model's recorded responses with evalkit and compare."""
    task = open_task(find_tasks()["mathvista"], "sample")
    found = []
    strict = official = 0
    for pid, row in recorded(model).items():
        sample = samples()[pid]
        outcome = task.score(sample, row["response"])
        right = outcome.verdict is Verdict.CORRECT
        strict += right
        official += outcome.official is True
        if right is not row["true_false"]:
            found.append(Disagreement(pid, row["true_false"], _reason(model, sample, row, outcome), outcome, row))
    return Agreement(sum(row["true_false"] for row in recorded(model).values()), strict, official, found)


def _reason(model: str, sample: Sample, row: dict[str, Any], outcome: Outcome) -> str:
    extraction = row["extraction"].strip()
    if not row["response"].strip():
        return EMPTY
    if row["question"] != read("testmini")[sample.id]["question"]:
        return STALE
    if "_code_" in model:
        return PROGRAM
    if row["true_false"] and sample.choices and not _names_choice(extraction, sample.choices):
        return NEAREST
    if row["true_false"] and row["answer_type"] == "integer" and float(extraction) != int(row["answer"]):
        return TRUNCATED
    return f"{UNREAD} ({outcome.reason})" if outcome.verdict is Verdict.UNPARSED else OTHER


def _names_choice(extraction: str, choices: dict[str, str]) -> bool:
    texts = {text.strip() for text in choices.values()}
    return extraction in choices or extraction in texts or any(f"({letter})" in extraction for letter in choices)


def table() -> Iterator[str]:
    """The agreement of all models, as Markdown."""
    yield "| responses | recorded | strict | official, own extraction | agree | recorded only | evalkit only |"
    yield "|---|---|---|---|---|---|---|"
    reasons: Counter[str] = Counter()
    for model in MODELS:
        found = agreement(model)
        only = sum(d.recorded for d in found.disagreements)
        other = len(found.disagreements) - only
        yield (
            f"| {model} | {found.recorded} | {found.strict} | {found.official} | {1000 - only - other} "
            f"| {only} | {other} |"
        )
        reasons.update(f"{'recorded' if d.recorded else 'evalkit'} only | {d.reason}" for d in found.disagreements)
    yield ""
    yield "| right by | reason | rows |"
    yield "|---|---|---|"
    for reason, count in reasons.most_common():
        yield f"| {reason} | {count} |"


def main() -> None:
    """Print or pin the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", choices=MODELS, help="every disagreement of one model")
    parser.add_argument("--write", action="store_true", help="pin the counts")
    arguments = parser.parse_args()
    if arguments.write:
        counts = {model: agreement(model).counts() for model in MODELS}
        PINNED.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    elif arguments.rows:
        for found in agreement(arguments.rows).disagreements:
            by = "recorded" if found.recorded else "evalkit"
            print(
                f"{found.pid:>4} right by {by}; answer {found.row['answer']!r}, recorded "
                f"{one_line(found.row['extraction'], 40)!r}, evalkit {found.outcome.answer!r}: {found.reason}\n"
                f"       …{one_line(found.row['response'][-400:], 400)[-160:]}"
            )
    else:
        print("\n".join(table()))


if __name__ == "__main__":
    main()
