"""A gate on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalkit.errors import ExitCode, one_line
from evalkit.gate.output.words import (
    all_default,
    confidence_of,
    difference_of,
    exit_code_of,
    flip_of,
    flips_of,
    heading_of,
    outcome_of,
    tests_of,
    value_of,
    what_of,
    why_of,
)
from evalkit.gate.result import CheckResult, GateResult, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType
    from rich.table import Table

FLIPS_SHOWN = 8
"""Samples shown of each direction."""
_STYLES = {
    Status.PASS: "green",
    Status.FAIL: "bold red",
    Status.INCONCLUSIVE: "yellow",
    Status.ERROR: "bold magenta",
}
_CODE_STYLES = {ExitCode.OK: "bold green", ExitCode.INCONCLUSIVE: "bold yellow"}


def for_terminal(results: Sequence[GateResult]) -> RenderableType:
    """What `rich` prints: each gate's table, reasons and flipped samples, then the whole in one line."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    for result in results:
        parts += [*_gate(result), Text()]
    parts.append(Text(outcome_of(results), style=_CODE_STYLES.get(exit_code_of(results), "bold red")))
    return Group(*parts)


def _gate(result: GateResult) -> Iterator[RenderableType]:
    from rich.text import Text

    yield Text(one_line(heading_of(result), 600), style="bold")
    for override in result.overrides:
        yield _said(f"COMPARED ALL THE SAME, {override}", "yellow")
    for note in result.notes:
        yield _said(f"note: {note}", "yellow")
    if all_default(result):
        yield _said("no rule was given: evalkit's own", "dim")
    yield Text()
    yield _table(result)
    yield Text()
    for check in result.checks:
        yield _said(f"{_verdict(check)} {what_of(check)}: {why_of(check)}")
    if tests := tests_of(result):
        yield _said(tests, "dim")
    for direction, flips in flips_of(result).items():
        if not flips:
            continue
        yield Text(f"{len(flips)} {direction}", style="bold")
        for flip in flips[:FLIPS_SHOWN]:
            expected = one_line(repr(flip.expected), 40)
            yield _said(f"{one_line(flip.id, 80)} (right: {expected}): {flip_of(flip)}")
        if len(flips) > FLIPS_SHOWN:
            yield _said(f"and {len(flips) - FLIPS_SHOWN} more, in --json", "dim")


def _table(result: GateResult) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("what", overflow="fold")
    for heading in ("baseline", "new"):
        table.add_column(heading, justify="right")
    table.add_column(f"difference ({confidence_of(result)})", justify="right")
    table.add_column("verdict", no_wrap=True)
    for check in result.checks:
        table.add_row(
            Text(one_line(what_of(check), 200)),
            value_of(check, check.baseline),
            value_of(check, check.new),
            difference_of(check),
            Text(_verdict(check), style=_STYLES[check.status]),
        )
    return table


def _verdict(check: CheckResult) -> str:
    return check.status.upper()


def _said(text: str, style: str = "") -> RenderableType:
    """A sentence, wrapped under its indent; as `Text`, in which no markup acts."""
    from rich.padding import Padding
    from rich.text import Text

    return Padding(Text(one_line(text, 800), style=style), (0, 0, 0, 2), expand=False)
