"""`evalkit gate --explain`: what a gate can show, on the terminal or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import typer
from rich.padding import Padding
from rich.table import Table

from evalkit.cli._console import Console, plain
from evalkit.cli._gate import Targets, write_file
from evalkit.errors import EvalkitError
from evalkit.gate.explain import explain
from evalkit.gate.explained import HEADER, Explanation, explanation_rows
from evalkit.gate.rules import GateRule
from evalkit.records import Rule


def show_power(
    baseline: str,
    rules: Sequence[GateRule] | None,
    targets: Targets,
    *,
    samples: int | None,
    new: Path | None,
    rule: Rule,
    confidence: float,
) -> None:
    """Say what the gate can show.

    Raises:
        EvalkitError: it cannot be said, or a format is asked for that it does not come in.
    """
    for name in ("junit", "md"):
        if name in targets.files or targets.alone == name:
            raise EvalkitError(f"--{name} does nothing with --explain, which decides nothing; --json has all of it")
    found = explain(baseline, rules, n=samples, new=new, rule=rule, confidence=confidence)
    text = msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"
    if targets.alone:
        typer.echo(text, nl=False)
        return
    _show(Console(), found)
    for name, file in targets.files.items():
        write_file(name, file, text)
        typer.echo(f"{name}: {file}")


def _show(console: Console, found: Explanation) -> None:
    against = f"{found.new} against {found.baseline}" if found.new else f"a run against {found.baseline}"
    console.print(f"[bold]{plain(found.task)}: {plain(against)}, {found.n:,} samples[/bold]", soft_wrap=True)
    tests = f"{found.tests} tests" if found.tests != 1 else "1 test"
    console.print(f"  without a change the gate fails at most {found.false_alarms:.2%} of the time, {tests} together")
    for name, *cells in explanation_rows(found):
        console.print(f"[bold]{plain(name)}[/bold]")
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for heading, text in zip(HEADER[1:], cells, strict=True):
            if text:
                # a rule of which nothing can be said has nothing but a reason
                table.add_row(*(heading, plain(text)) if len([c for c in cells if c]) > 1 else (plain(text),))
        console.print(Padding(table, (0, 0, 0, 2), expand=False))
    for note in found.notes:
        console.print(Padding(f"[dim]{plain(note, 600)}[/dim]", (0, 0, 0, 2), expand=False))
