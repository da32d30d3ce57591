"""The table "did it need its tools?" on the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table

from evalkit.analysis.counterfactual import Counterfactual
from evalkit.analysis.need_notes import need_notes
from evalkit.cli._console import Console, plain
from evalkit.reporting.need import category_rows, cell_rows, need_rows

_CATEGORIES = 12


def show_need(console: Console, found: Counterfactual | None) -> None:
    """Print a run's arms against each other, within 80 columns; nothing where there is one arm."""
    if found is None:
        return
    console.print(f"\ndid it need its tools? {found.overall.pairs} pairs with and without", markup=False)
    cells = _table("", "right without", "wrong without", "all")
    for cell in cell_rows(found.overall):
        cells.add_row(*map(plain, cell), end_section=cell.name.startswith("wrong"))
    figures = _table("95 % intervals", "as counted", "corrected for chance", "n")
    for row in need_rows(found):
        figures.add_row(*map(plain, row))
    console.print(cells, "", figures, "")
    categories = category_rows(found)
    if categories:
        table = _table("category", "pairs", "called", "redundant", "corrected", "with - without")
        for one in categories[:_CATEGORIES]:
            table.add_row(*map(plain, one))
        console.print(table, "")
    if len(categories) > _CATEGORIES:
        console.print(f"{len(categories) - _CATEGORIES} more categories are in the report")
    for note in need_notes(found):
        console.print(plain(note), soft_wrap=True)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    return table
