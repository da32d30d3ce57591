"""Leaderboards on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.padding import Padding
from rich.table import Table

from evalkit.analysis.board import Board, Boards
from evalkit.cli._console import Console, plain
from evalkit.records import Rule
from evalkit.reporting.leaderboard import (
    HEADINGS,
    NEED_HEADINGS,
    PUBLISHED_HEADINGS,
    leader_row,
    mark_lines,
    missing_lines,
    names_of,
    need_rows,
    published_rows,
    shown_columns,
)
from evalkit.reporting.settings import GROUPS

PUBLISHED_SHOWN = 12


def show_boards(console: Console, boards: Boards) -> None:
    """Print each benchmark: what it says, its runs, what others publish."""
    for index, board in enumerate(boards.boards):
        if index:
            console.print()
        _board(console, board)


def _board(console: Console, board: Board) -> None:
    names = names_of(board.entries)
    by = f", {board.rule} rule" if board.rule is not Rule.STRICT else ""
    console.print(f"[bold]{plain(board.title)}[/bold]{by}")
    for headline in board.headlines:
        _say(console, f"[bold]{plain(headline.text)}[/bold]" if headline.kind == "best" else plain(headline.text))
    for mark in mark_lines(board.entries, names):
        _say(console, f"[{'red' if mark.serious else 'yellow'}]{plain(mark.runs)}:[/] {plain(mark.text)}")
    for group, title in GROUPS.items():
        keys = [difference.key for difference in board.config if difference.group == group]
        if keys:
            _say(console, f"the runs differ in {title}: {plain(', '.join(keys))}")
    console.print()
    columns = shown_columns(board)
    rows = [leader_row(entry, names) for entry in board.entries]
    _table(console, [HEADINGS[i] for i in columns], [[row[i] for i in columns] for row in rows])
    if need := need_rows(board.entries):
        console.print()
        _table(console, NEED_HEADINGS, need)
    if published := published_rows(board.published):
        console.print()
        _table(console, PUBLISHED_HEADINGS, published[:PUBLISHED_SHOWN])
        if len(published) > PUBLISHED_SHOWN:
            _say(console, f"and {len(published) - PUBLISHED_SHOWN} more (evalkit baselines --task {plain(board.task)})")
    for line in missing_lines(board.entries, names):
        _say(console, plain(line))


def _table(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(headings[0], overflow="fold")
    for heading in headings[1:]:
        table.add_column(heading, justify="right", overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    console.print(Padding(table, (0, 0, 0, 2)))


def _say(console: Console, text: str) -> None:
    console.print(Padding(text, (0, 0, 0, 2)))
