"""The tables of docs/scoring.md that compare evalkit with lmms-eval.

`python -m tests.e2e.lmms_tables PYTHON` prints them, where PYTHON has lmms-eval 0.7.3; with `--rows GROUP` it
prints every disagreement in the groups whose names begin so, `--write` puts the tables into the guide.
"""

from __future__ import annotations

import argparse
import json
import string
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile

from evalkit.errors import one_line
from evalkit.records import Verdict
from tests.conftest import ROOT
from tests.e2e.lmms_cases import Pair, recorded_cases, run
from tests.e2e.lmms_causes import SHOWN, cause
from tests.e2e.lmms_examples import EXAMPLES, corpus_cases, example_cases

GUIDE = ROOT / "docs/scoring.md"

COUNTS = (
    "| responses | lmms-eval's scorer | n | both right | neither right | only evalkit right | only lmms-eval right"
    " | evalkit reads no answer | lmms-eval raises |\n|---|---|---|---|---|---|---|---|---|"
)
CAUSES = "| responses | counted right only by | why | rows |\n|---|---|---|---|"
RIGHT = "| why | who is right | a response that shows it |\n|---|---|---|"
EXAMPLE = (
    "| lmms-eval's scorer | asked | right is | response | evalkit reads | lmms-eval reads |\n|---|---|---|---|---|---|"
)
CORPUS = (
    "| corpus | scorer | n | as a careful reader | an answer that is not there, or another"
    " | no answer where there is one | raises |\n|---|---|---|---|---|---|---|"
)
"""The heads of the tables."""


def counts(pairs: list[Pair]) -> Iterator[str]:
    """The table of counts, a row a group, as Markdown."""
    for group, rows in grouped(pairs).items():
        both = sum(pair.ours and pair.right is True for pair in rows)
        ours = sum(pair.ours and pair.right is not True for pair in rows)
        theirs = sum(not pair.ours and pair.right is True for pair in rows)
        unread = sum(pair.case.outcome.verdict is Verdict.UNPARSED for pair in rows)
        crashed = sum(pair.right is None for pair in rows)
        cells = (len(rows), both, len(rows) - both - ours - theirs, ours, theirs, unread, crashed)
        scorer = rows[0].case.task
        yield f"| {group} | `{scorer}` | " + " | ".join(f"{cell:,}" for cell in cells) + " |"


def grouped(pairs: list[Pair]) -> dict[str, list[Pair]]:
    """The pairs of each group, in order."""
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.case.group, []).append(pair)
    return groups


def causes(pairs: list[Pair]) -> Iterator[str]:
    """The table of causes, as Markdown."""
    for group, rows in grouped(pairs).items():
        found = Counter((pair.ours, cause(pair)) for pair in rows if pair.differ)
        for (ours, why), count in sorted(found.items(), key=lambda item: (not item[0][0], -item[1])):
            yield f"| {group} | {'evalkit' if ours else 'lmms-eval'} | {why} | {count:,} |"


def rightness(pairs: list[Pair]) -> Iterator[str]:
    """The table of who is right, by cause, as Markdown; the row that it names must have that cause."""
    found = {(cause(pair), pair.case.group, pair.case.id) for pair in pairs if pair.differ}
    for why in dict.fromkeys(cause(pair) for pair in pairs if pair.differ):
        shown = SHOWN[why]
        assert (why, shown.group, shown.id) in found, (why, shown)
        yield f"| {why} | {shown.right} | {shown.group}, {shown.id}: {shown.text} |"


def examples(pairs: list[Pair]) -> Iterator[str]:
    """The table of examples, as Markdown."""
    for example, pair in zip(EXAMPLES, pairs, strict=True):
        outcome = pair.case.outcome
        ours = f"{outcome.answer or 'nothing'}: {outcome.verdict}"
        theirs = pair.error or f"{pair.answer or 'nothing'}: {'correct' if pair.right else 'incorrect'}"
        asked = "; ".join(
            f"{letter} {text}" for letter, text in zip(string.ascii_uppercase, example.choices, strict=False)
        )
        judge = "" if example.judge is None else f", judge says `{example.judge}`"
        shown = f"`{example.response}`" if example.response else "(empty)"
        yield f"| `{example.task}`{judge} | {asked or example.kind} | {example.gold} | {shown} | {ours} | {theirs} |"


def corpus_counts(pairs: list[Pair]) -> Iterator[str]:
    """The table of the corpus, as Markdown: who reads what a careful reader reads."""
    for group in ("choices", "numbers and lists"):
        mine = [pair for pair in pairs if pair.case.group == group]
        first = {pair.case.id: pair for pair in mine}
        yield _corpus_row(
            group, "evalkit", [_judged(pair, pair.case.outcome.answer, ours=True) for pair in first.values()]
        )
        for task in dict.fromkeys(pair.case.task for pair in mine):
            found = [_judged(pair, pair.answer, ours=False) for pair in mine if pair.case.task == task]
            yield _corpus_row(group, f"`{task}`", found)


def _corpus_row(group: str, scorer: str, found: list[str]) -> str:
    counted = Counter(found)
    cells = (len(found), *(counted[kind] for kind in ("same", "wrong", "missed", "raised")))
    return f"| {group} | {scorer} | " + " | ".join(str(cell) for cell in cells) + " |"


def _judged(pair: Pair, answer: str | None, *, ours: bool) -> str:
    """Whether the corpus's reading was found ("same"), another one ("wrong"), none ("missed"), or it "raised"."""
    wanted = json.loads(pair.case.id)
    if not ours and pair.error:
        return "raised"
    outcome = pair.case.outcome
    if pair.case.group == "choices":
        read = answer if not ours or outcome.verdict in (Verdict.CORRECT, Verdict.INCORRECT) else None
        right = read == wanted["answer"] or (read is None and wanted["or"] == "unparsed")
        return "same" if right else "missed" if read is None else "wrong"
    right = pair.ours if ours else pair.right is True
    if right is (wanted["verdict"] == "correct") or (not right and wanted["or"] == "unparsed"):
        return "same"
    return "wrong" if right else "missed"


def tables(python: str) -> dict[str, list[str]]:
    """Every table: its head, and its rows."""
    pairs = run(recorded_cases(), python)
    return {
        COUNTS: list(counts(pairs)),
        CAUSES: list(causes(pairs)),
        RIGHT: list(rightness(pairs)),
        EXAMPLE: list(examples(run(example_cases(), python))),
        CORPUS: list(corpus_counts(run(corpus_cases(), python))),
    }


def printed(head: str) -> list[str]:
    """The rows of the guide's table with that head."""
    lines = GUIDE.read_text(encoding="utf-8").partition(head)[2].removeprefix("\n").splitlines()
    return list(takewhile(lambda line: line.startswith("|"), lines))


def main() -> None:
    """Print the tables, or write them into the guide."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("python", help="a Python that has lmms-eval")
    parser.add_argument("--rows", help="print every disagreement of the groups that begin so")
    parser.add_argument("--write", action="store_true", help="put the tables into the guide")
    arguments = parser.parse_args()
    if arguments.rows:
        for pair in run(recorded_cases(), arguments.python):
            if pair.case.group.startswith(arguments.rows) and pair.differ:
                print(_shown(pair))
        return
    for head, rows in tables(arguments.python).items():
        print("\n".join([head, *rows, ""]))
        if arguments.write:
            guide = GUIDE.read_text(encoding="utf-8")
            assert guide.count(head) == 1, head
            old, new = "\n".join([head, *printed(head)]), "\n".join([head, *rows])
            GUIDE.write_text(guide.replace(old, new), encoding="utf-8")


def _shown(pair: Pair) -> str:
    case, outcome = pair.case, pair.case.outcome
    return (
        f"{case.group}: {case.id}: evalkit {outcome.verdict} {one_line(outcome.answer or '', 60)!r} ({outcome.reason}),"
        f" lmms-eval {pair.right} {one_line(pair.answer or '', 60)!r} {pair.error}: {cause(pair)}\n"
        f"    …{one_line(case.response[-300:], 300)[-160:]}"
    )


if __name__ == "__main__":
    main()
