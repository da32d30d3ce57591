"""The Markdown of a report: what it says, that it fits into a comment, and that no text acts in it."""

from __future__ import annotations

import re

import pytest

from evalkit.analysis.board import Board, Boards, Headline, Mark, Unreadable
from evalkit.analysis.figure import Figure
from evalkit.reporting.board_markdown import LIMIT, boards_markdown
from tests.made_boards import board, boards, entry, need, published

HOSTILE = "\x1b[2J | `</td><script>alert(1)</script> @someone #12 [l](http://h) www.x.y \u202eevil\u202c\\ ![i](x)"


def rows(markdown: str) -> list[list[str]]:
    """The cells of every line of a table."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[part.strip() for part in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_it_says_who_is_best_what_differs_and_what_to_distrust() -> None:
    said = boards_markdown(boards())
    assert "### numbers\n\n- **a is the most accurate.**\n- 🔴 **b**: 12 % of rows are errors\n" in said
    table = {row[0]: row for row in tables(said)[0]}
    assert table["a"][1:5] == ["100", r"91.8% \[86.8, 96.8\]", "40.0%", "60.0% (corrected 46.7%)"]
    assert table["b"][4] == "–"
    # the published row of each source, with its sampling
    assert [row[1:] for row in rows(said) if row[0] == "Other-7B"] == [
        ["86.4%", "–", "greedy", "paper"],
        ["84.1%", "–", "greedy", "blog"],
    ]
    assert "differences in what was asked and how it was scored: sampling.temperature 0.0 (a), 1.0 (b)" in said
    assert "Did it need its tools?" in said
    assert r"+45.0% \[+10.6, +69.0\]" in said


def test_tables_are_whole() -> None:
    for found in tables(boards_markdown(boards())):
        assert len({len(row) for row in found}) == 1
        assert set("".join(found[1])) <= set("-:")


def tables(markdown: str) -> list[list[list[str]]]:
    blocks = [block for block in markdown.split("\n\n") if block.startswith("|")]
    return [rows(block) for block in blocks]


def test_without_arms_or_published_rows_there_are_no_empty_tables() -> None:
    said = boards_markdown(boards(board(entry("a"), published=())))
    assert "Did it need" not in said
    assert len(tables(said)) == 1


def test_what_is_not_available_has_its_reason_once() -> None:
    none = Figure(why="only last responses are known")
    said = boards_markdown(boards(board(entry("a", tool_rate=none, calls=none), entry("b", tool_rate=none))))
    line = "tool rate, calls of a, b: not available, because only last responses are known"
    assert said.count("only last responses") == 1
    assert line in said


def large(kind: str) -> Boards:
    mark = tuple(Mark(kind="other", text=f"{i} " + "words " * 80) for i in range(3))
    many = [entry(f"model-{i}-" + "x" * 150, need=need(), marks=mark) for i in range(100)]
    theirs = tuple(published(f"Other-{i}", 50 + i / 10) for i in range(80))
    if kind == "one benchmark":
        return boards(board(*many, published=theirs))
    if kind == "ten benchmarks":
        return boards(*(board(*many[i : i + 10], task=f"task-{i}", published=theirs) for i in range(0, 100, 10)))
    head = tuple(Headline(kind="tools", text=HOSTILE * 20) for _ in range(3))
    return boards(
        *(board(one, task=f"{i}{HOSTILE * 9}", title=HOSTILE * 9, headlines=head) for i, one in enumerate(many))
    )


@pytest.mark.parametrize("kind", ["one benchmark", "ten benchmarks", "hundred benchmarks"])
def test_a_hundred_runs_fit_into_a_comment_and_what_is_cut_is_said(kind: str) -> None:
    found = large(kind)
    said = boards_markdown(found)
    assert len(said.encode()) < LIMIT
    assert "evalkit 0.1.0, 2026-01-01" in said
    if kind == "hundred benchmarks":
        assert re.search(r"And \d+ more benchmarks: ", said)
        return
    for shown in re.split("^### ", said, flags=re.MULTILINE)[1:]:
        board_ = next(b for b in found.boards if shown.startswith(b.title))
        there = sum(row[0].startswith("model") for row in tables("\n\n" + shown)[0])
        left = re.search(r"^And (\d+) more runs\.", shown, re.MULTILINE)
        assert there + (int(left[1]) if left else 0) == len(board_.entries)
    assert re.search(r"And \d+ more published rows\.", said)


def hostile() -> Board:
    mark = (Mark(kind="other", text=HOSTILE, serious=True),)
    figures = {"tool_rate": Figure(why=HOSTILE), "marks": mark, "model": HOSTILE}
    head = (Headline(kind="best", text=HOSTILE),)
    return board(entry(HOSTILE, **figures), entry(f"2{HOSTILE}"), title=HOSTILE, headlines=head)


def test_hostile_text_acts_nowhere() -> None:
    said = boards_markdown(boards(hostile(), unreadable=(Unreadable(folder=HOSTILE, why=HOSTILE),)))
    assert not {"\x1b", "\u202e"} & set(said)
    for found in tables(said):
        assert len({len(row) for row in found}) == 1
    bare = re.sub(r"\\[\\`*_\[\]<>|]", "", said)
    assert not re.search(r"[<>`]|\]\(", bare)
    assert "://" not in said.replace(":\\//", "")
    assert "@s" not in said
    assert "#1" not in said


def test_left_out_folders_are_named() -> None:
    out = tuple(Unreadable(folder=f"runs/{i}", why="is not a run folder") for i in range(30))
    said = boards_markdown(boards(unreadable=out))
    assert "- runs/0: is not a run folder" in said
    assert "- and 18 more" in said
    empty = boards(unreadable=out[:1])
    assert "Left out" in boards_markdown(Boards(schema=1, evalkit="1", made="", boards=(), unreadable=empty.unreadable))


def test_it_ends_with_one_line_feed() -> None:
    text = boards_markdown(boards())
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
