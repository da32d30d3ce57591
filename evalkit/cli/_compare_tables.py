"""A comparison on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.padding import Padding
from rich.table import Table

from evalkit.analysis.comparison import Comparison, Versus
from evalkit.analysis.paired_figures import EQUAL, NONE, SAME, UNTESTED, Figure
from evalkit.analysis.pareto import Front
from evalkit.cli._compare_words import (
    config_line,
    difference_of,
    flips_of,
    heading_of,
    interval_of,
    overlap_of,
    p_of,
    remarks,
    side_of_flip,
    tests_of,
    value_of,
)
from evalkit.cli._console import Console, plain
from evalkit.reporting.settings import GROUPS

EXAMPLES = 4
"""Samples shown of each direction of flip."""
CATEGORIES_SHOWN = 24
OWN_SHOWN = 16


def show_comparison(console: Console, comparison: Comparison) -> None:
    """Print it: settings first, then each run against the reference."""
    reference = comparison.runs[0]
    console.print(f"[bold]{plain(comparison.task)}[/bold], {comparison.rule} rule; {reference.label} is the reference")
    _runs(console, comparison)
    _config(console, comparison)
    for versus in comparison.against:
        console.print()
        _versus(console, comparison, versus)
    _own(console, comparison)
    for front in comparison.fronts:
        _say(console, _front(front))


def _runs(console: Console, comparison: Comparison) -> None:
    notes: dict[str, list[str]] = {}
    for run in comparison.runs:
        rows = f"{run.samples} of {run.expected} rows"
        rows += f", {run.errors} errors" if run.errors else ""
        rows += f", up to {run.repeats} repeats (means)" if run.repeats > 1 else ""
        console.print(f"  {run.label}  {plain(run.model, 60)}, {rows}, {plain(run.folder, 300)}", soft_wrap=True)
        for note in run.notes:
            notes.setdefault(note, []).append(run.label)
    for note, labels in notes.items():
        _say(console, f"[yellow]note on {' and '.join(labels)}:[/yellow] {plain(note)}")


def _config(console: Console, comparison: Comparison) -> None:
    unknown = [run.imported for run in comparison.runs]
    for group, title in GROUPS.items():
        mine = [difference for difference in comparison.config if difference.group == group]
        console.print(f"[bold]Differences in {title}[/bold]" + ("" if mine else ": none that is recorded"))
        for difference in mine:
            _say(console, f"{plain(difference.key, 80)}: {plain(config_line(difference, comparison, unknown), 400)}")


def _versus(console: Console, comparison: Comparison, versus: Versus) -> None:
    reference = comparison.runs[0].label
    console.print(f"[bold]{versus.label} against {reference}[/bold]: {plain(overlap_of(versus, comparison), 600)}")
    console.print()
    console.print(_figures(versus.figures, reference, versus.label))
    hidden = sum(bool(figure.category) for figure in versus.figures) - CATEGORIES_SHOWN
    if hidden > 0:
        _say(console, f"and {hidden} more by category, in --json and --csv")
    console.print()
    for line in [*remarks(versus, comparison), tests_of(comparison)]:
        _say(console, plain(line, 600))
    _flips(console, versus)


def _figures(figures: Sequence[Figure], reference: str, label: str) -> Table:
    """The figures that are there; those by category under a line of their own."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("figure", overflow="fold")
    for heading in (reference, label, f"{label} - {reference}", "95 % interval", "p adj"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    headed, shown = "", 0
    for figure in figures:
        if figure.difference is None or (figure.category and shown >= CATEGORIES_SHOWN):
            continue
        if figure.category:
            shown += 1
            if headed != figure.name:
                headed = figure.name
                table.add_row(f"[dim]{plain(figure.name)} by[/dim]")
        table.add_row(
            f"  {plain(figure.category, 60)}" if figure.category else heading_of(figure),
            value_of(figure, figure.old),
            value_of(figure, figure.new),
            difference_of(figure),
            interval_of(figure),
            p_of(figure.p_adjusted),
            plain(figure.verdict),
            style="" if figure.verdict in (NONE, SAME, EQUAL, UNTESTED) else "bold",
        )
    return table


def _flips(console: Console, versus: Versus) -> None:
    for direction, flips in flips_of(versus).items():
        console.print(f"[bold]{len(flips)} {direction}[/bold]")
        for flip in flips[:EXAMPLES]:
            old = side_of_flip(flip.old_answer, flip.old_verdict, flip.old_reason)
            new = side_of_flip(flip.new_answer, flip.new_verdict, flip.new_reason)
            console.print(f"  {plain(flip.id, 80)} (right: {plain(repr(flip.expected), 40)})", soft_wrap=True)
            _say(console, f"[dim]{plain(old, 90)} -> {plain(new, 90)}[/dim]", 6)
        if len(flips) > EXAMPLES:
            _say(console, f"and {len(flips) - EXAMPLES} more, in --json")


def _say(console: Console, markup: str, indent: int = 2) -> None:
    """A sentence, wrapped under its indent."""
    console.print(Padding(markup, (0, 0, 0, indent), expand=False))


def _front(front: Front) -> str:
    """The runs on a front, from the cheapest; nothing where none can be placed."""
    best = ", ".join(f"{p.name} {p.accuracy:.1%} at {getattr(p, front.cost):.3g}" for p in front.best)
    beaten = "".join(f"; {name} is beaten by {by}" for name, by in front.beaten.items())
    out = "".join(f"; {name} left out, because {why}" for name, why in front.left_out.items())
    return plain(f"Pareto front, accuracy against {front.cost} a row: {best or 'none'}{beaten}{out}", 1000)


def _own(console: Console, comparison: Comparison) -> None:
    if not comparison.own:
        if comparison.own_why:
            console.print(f"the benchmark's own figures: {NONE}, because {plain(comparison.own_why)}")
        return
    console.print()
    console.print("[bold]The benchmark's own figures[/bold], each run over its own rows, not tested")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("figure", overflow="fold")
    for run in comparison.runs:
        table.add_column(run.label, justify="right", no_wrap=True)
    for figure in comparison.own[:OWN_SHOWN]:
        values = [own_value(value, figure.unit) for value in figure.values]
        table.add_row(plain(figure.name, 60), *values)
    console.print(table)
    if len(comparison.own) > OWN_SHOWN:
        console.print(f"and {len(comparison.own) - OWN_SHOWN} more, in --json")


def own_value(value: float | None, unit: str) -> str:
    """A benchmark's own figure."""
    if value is None:
        return NONE
    return f"{value:.2%}" if unit == "share" else f"{value:g}"
