"""Hostile names, answers, settings and texts do nothing but stand there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from evalkit.analysis.board import Headline, Mark, Unreadable
from evalkit.reporting.page import write_html
from evalkit.reporting.report import Report, make_report
from tests import made_boards
from tests.browser.conftest import Open, until
from tests.report_runs import HOSTILE, report_runs

BROKEN = "\ud800 lone, \udfff, \x00 nul, \x1b[31m, \u202e turned, \ufffe none, \u2028 line"


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    made = make_report(report_runs(tmp_path), processes=1)
    evil = HOSTILE + BROKEN
    entry = made_boards.entry(
        evil,
        model=evil,
        marks=(Mark(kind=evil, text=evil, serious=True),),
        errors={evil: 2},
        categories={evil: made_boards.share(1, 2), "b": made_boards.share(1, 2)},
        own_why=evil,
        need_notes=(evil,),
    )
    board = made_boards.board(
        entry,
        made_boards.entry("b"),
        task=evil,
        headlines=(Headline(kind=evil, text=evil, runs=(evil,)),),
        published=(made_boards.published(evil, task=evil, source=evil, note=evil),),
    )
    gone = Unreadable(folder=evil, why=evil)
    boards = msgspec.structs.replace(
        made.boards, boards=(*made.boards.boards, board), unreadable=(gone,), evalkit=evil, made=evil
    )
    file = tmp_path / "bad.html"
    write_html(msgspec.structs.replace(made, boards=boards), file)
    return file


def test_nothing_hostile_acts(bad: Path, open_page: Open) -> None:
    page = open_page(bad)
    page.wait_for_selector(".tj-row")
    assert page.locator("img[src=x]").count() == 0
    assert "<img src=x onerror=alert(2)>" in page.locator("#main").inner_text()
    assert "49" not in page.locator(".say").last.inner_text()
    for name in page.locator("table.leaderboard .name").all():
        name.click()
        page.keyboard.press("Escape")
    scripts = page.evaluate("[...document.scripts].map((one) => [one.type, one.src])")
    assert all(kind in ("", "application/json", "application/octet-stream") and not src for kind, src in scripts)


def test_a_hostile_trajectory_is_read_and_does_nothing(bad: Path, open_page: Open) -> None:
    page = open_page(f"{bad.as_uri()}#trajectories&run=hostile")
    until(page, "document.querySelector('.tj-field-run select')?.value === 'hostile'")
    page.locator(".tj-row").first.click()
    page.wait_for_selector(".tj-turn, .tj-piece, .tj-run")
    assert page.locator("img[src=x]").count() == 0
    assert "alert(2)" in page.locator(".tj-pane").inner_text()


def test_the_file_is_valid_text_and_its_boards_can_be_read(bad: Path, open_page: Open) -> None:
    text = bad.read_bytes().decode("utf-8")
    assert "\x00" not in text
    page = open_page(bad)
    models = page.evaluate(
        "evalkit.load('boards').then((boards) => boards.boards.flatMap((one) => one.entries.map((run) => run.model)))"
    )
    assert HOSTILE in models
    assert len(models) == 6


def test_the_policy_stops_what_is_not_of_the_page(bad: Path, chromium: Any) -> None:
    """Were something hostile to get into the page, it would not run and could tell nobody."""
    page = chromium.new_page()
    page.goto(bad.as_uri())
    result = page.evaluate(
        """async () => {
          const stopped = [];
          document.addEventListener('securitypolicyviolation', (one) => stopped.push(one.effectiveDirective));
          const script = document.createElement('script');
          try { script.textContent = 'window.ran = 1'; } catch { stopped.push('trusted-types'); }
          document.head.append(script);
          try { document.body.innerHTML += ''; } catch { stopped.push('trusted-types'); }
          return [window.ran ?? null, stopped];
        }"""
    )
    page.close()
    assert result == [None, ["trusted-types", "trusted-types"]]


def test_an_empty_report_says_so(tmp_path: Path, open_page: Open) -> None:
    file = tmp_path / "empty.html"
    boards = msgspec.structs.replace(
        made_boards.boards(), boards=(), unreadable=(Unreadable(folder="runs/x", why="it is no run"),)
    )
    write_html(Report(boards=boards), file)
    page = open_page(file)
    assert "There is no run in this report" in page.locator("#main").inner_text()
    assert "runs/x: it is no run" in page.locator("#main").inner_text()
