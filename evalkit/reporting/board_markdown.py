"""Boards as GitHub-style Markdown, short enough for a pull request's comment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from evalkit.analysis.board import Board, Boards, Entry
from evalkit.analysis.config_diff import ConfigDifference
from evalkit.content import content_dir
from evalkit.reporting.cells import comment_cell
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
from evalkit.reporting.settings import GROUPS, setting
from evalkit.runs.imported import IMPORTED, PREDICTIONS

LIMIT = 65_536
"""What GitHub takes as a comment, in characters; here in bytes of UTF-8, which are never fewer."""


_CELL = 120
"""Characters of a table's cell."""


class _Table(str):
    """Markdown that is escaped already."""

    __slots__ = ()


class _Cut(NamedTuple):
    """How much is shown: benchmarks, and of each its runs, published rows, lines of a list; characters of a text."""

    boards: int
    runs: int
    published: int
    lines: int
    text: int


_CUTS = (
    _Cut(100, 100, 12, 12, 400),
    _Cut(40, 40, 8, 8, 300),
    _Cut(20, 20, 6, 6, 240),
    _Cut(20, 10, 4, 4, 160),
    _Cut(12, 5, 3, 3, 120),
    _Cut(6, 3, 2, 2, 80),
)


def boards_markdown(boards: Boards) -> str:
    """Headlines, marks, leaderboard, need and differing settings of each benchmark.

    Where all of it would be too long, rows are cut, and the text says how many. Text that came from a model, a server
    or a folder's name is neutralised.
    """
    text = ""
    for cut in _CUTS:
        text = _render(boards, cut)
        if len(text.encode("utf-8", "backslashreplace")) < LIMIT:
            break
    return text


def _render(boards: Boards, cut: _Cut) -> str:
    environment = Environment(
        loader=FileSystemLoader(content_dir("reports") / "templates"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        finalize=lambda value: value if isinstance(value, _Table) else comment_cell(value, cut.text),
        autoescape=False,
    )
    left_out = boards.boards[cut.boards :]
    return environment.get_template("boards.md.j2").render(
        parts=[_part(board, cut) for board in boards.boards[: cut.boards]],
        more_boards=len(left_out),
        more_names=", ".join(board.title for board in left_out),
        unreadable=boards.unreadable[: cut.lines],
        more_unreadable=len(boards.unreadable[cut.lines :]),
        foot=f"evalkit {boards.evalkit}, {boards.made}; intervals are 95 %",
    )


def _part(board: Board, cut: _Cut) -> dict[str, Any]:
    """One benchmark, cut."""
    entries, names = board.entries[: cut.runs], names_of(board.entries)
    columns = shown_columns(board)
    rows = [leader_row(entry, names) for entry in entries]
    marks, published, need = mark_lines(entries, names), published_rows(board.published), need_rows(board.entries)
    remarks = [*_settings(board, names, cut), *missing_lines(entries, names)]
    if len(remarks) > cut.lines:
        remarks[cut.lines :] = [f"and {len(remarks) - cut.lines} more remarks"]
    return {
        "board": board,
        "marks": marks[: cut.lines],
        "more_marks": len(marks[cut.lines :]),
        "leaderboard": _table([HEADINGS[i] for i in columns], [[row[i] for i in columns] for row in rows]),
        "more_rows": len(board.entries) - len(entries),
        "published": published and _table(PUBLISHED_HEADINGS, published[: cut.published]),
        "more_published": len(published[cut.published :]),
        "need": need and _table(NEED_HEADINGS, need[: cut.runs]),
        "more_need": len(need[cut.runs :]),
        "remarks": remarks,
    }


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> _Table:
    """A table of escaped cells; the first column to the left, figures to the right."""
    lines = [headings, *rows]
    text = ["| " + " | ".join(comment_cell(value, _CELL) for value in line) + " |" for line in lines]
    return _Table("\n".join([text[0], "|---|" + "--:|" * (len(headings) - 1), *text[1:]]))


def _settings(board: Board, names: Mapping[str, str], cut: _Cut) -> list[str]:
    """A line for each group of settings that differ."""
    lines = []
    for group, title in GROUPS.items():
        mine = [difference for difference in board.config if difference.group == group]
        if mine:
            shown = "; ".join(_setting(difference, board.entries, names) for difference in mine[: cut.lines])
            more = f"; and {len(mine) - cut.lines} more" if len(mine) > cut.lines else ""
            lines.append(f"differences in {title}: {shown}{more}")
    return lines


def _setting(difference: ConfigDifference, entries: Sequence[Entry], names: Mapping[str, str]) -> str:
    """A setting with the runs that have each of its values."""
    values: dict[str, list[str]] = {}
    for value, entry in zip(difference.values, entries, strict=True):
        values.setdefault(setting(value, entry.engine in (IMPORTED, PREDICTIONS)), []).append(names[entry.run])
    if len(entries) > 4:
        return f"{difference.key} ({len(values)} values)"
    return f"{difference.key} " + ", ".join(f"{value} ({', '.join(runs)})" for value, runs in values.items())
