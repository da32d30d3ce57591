"""A gate as Markdown: for `GITHUB_STEP_SUMMARY` or a comment."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.errors import one_line
from evalkit.gate.output.words import (
    all_default,
    confidence_of,
    difference_of,
    flip_of,
    flips_of,
    heading_of,
    outcome_of,
    tests_of,
    value_of,
    what_of,
    why_of,
)
from evalkit.gate.result import GateResult, Status
from evalkit.reporting.cells import comment_cell

FLIPS_SHOWN = 20
"""Samples shown of each direction."""
_MARKS = {
    Status.PASS: "✅ pass",
    Status.FAIL: "❌ fail",
    Status.INCONCLUSIVE: "🟡 inconclusive",
    Status.ERROR: "⛔ error",
}


def as_markdown(results: Sequence[GateResult]) -> str:
    """A table of the checks and the flipped samples folded away, for each gate."""
    lines = [f"## evalkit gate: {comment_cell(outcome_of(results))}"]
    for result in results:
        lines += ["", *_gate(result)]
    return "\n".join(lines) + "\n"


def _gate(result: GateResult) -> list[str]:
    lines = [f"### {comment_cell(heading_of(result))}", ""]
    lines += [f"> **Compared all the same, {comment_cell(override)}**" for override in result.overrides]
    lines += [f"> {comment_cell(note)}" for note in result.notes]
    if result.overrides or result.notes:
        lines.append("")
    lines += [
        f"| what | baseline | new | difference ({confidence_of(result)} interval) | verdict | why |",
        "|---|--:|--:|--:|---|---|",
    ]
    for check in result.checks:
        cells = (
            comment_cell(what_of(check)),
            value_of(check, check.baseline),
            value_of(check, check.new),
            difference_of(check),
            _MARKS[check.status],
            comment_cell(why_of(check)),
        )
        lines.append(f"| {' | '.join(cells)} |")
    if all_default(result):
        lines += ["", "No rule was given: evalkit's own."]
    if tests := tests_of(result):
        lines += ["", comment_cell(tests)]
    for direction, flips in flips_of(result).items():
        if not flips:
            continue
        # `direction` is evalkit's own word
        lines += ["", f"<details><summary>{len(flips)} {direction.replace('->', 'to')}</summary>", ""]
        for flip in flips[:FLIPS_SHOWN]:
            expected = one_line(repr(flip.expected), 40)
            lines.append(
                f"- {comment_cell(flip.id, 80)} (right: {comment_cell(expected)}): {comment_cell(flip_of(flip))}"
            )
        if len(flips) > FLIPS_SHOWN:
            lines.append(f"- and {len(flips) - FLIPS_SHOWN} more, in --json")
        lines += ["", "</details>"]
    return lines
