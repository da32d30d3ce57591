"""A report as a folder: its data is read when it is asked for, from a disk as from a server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from evalkit.reporting.page import write_site
from evalkit.reporting.report import make_report
from tests.browser.conftest import Open, until
from tests.report_runs import report_runs


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Path:
    write_site(make_report(report_runs(tmp_path), processes=1, trajectories="all"), tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def read(page: Any) -> None:
    """Open a trajectory, and then one of another run."""
    page.wait_for_selector(".tj-row")
    page.locator(".tj-row").first.click()
    until(page, "document.querySelector('.tj-pane').textContent.includes('Turn 1')")
    page.evaluate("evalkit.state.set({run: 'hostile', 't.row': null})")
    until(page, "document.querySelector('.tj-list').textContent.includes('alert')")
    page.locator(".tj-row").first.click()
    until(page, "document.querySelector('.tj-pane').textContent.includes('Turn 1')")


def test_a_folder_opens_from_a_disk(site: Path, open_page: Open) -> None:
    page = open_page(site / "index.html")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition("/data/")[2]))
    read(page)
    assert "details/0/0.js" in asked
    # what nobody asked for is not read
    assert not any(name.startswith("details/1/") for name in asked)


def test_a_folder_opens_from_a_server(served: str, open_page: Open) -> None:
    page = open_page(served, hosts=(served,))
    read(page)
    boards = page.evaluate("evalkit.load('boards')")
    assert [board["task"] for board in boards["boards"]] == ["vstar", "numbers"]


def test_no_other_script_than_the_data_can_be_named(served: str, open_page: Open) -> None:
    page = open_page(served, hosts=(served,))
    why = page.evaluate("evalkit.load('../../elsewhere').catch((error) => String(error))")
    assert "is no data file of a report" in why


def test_a_missing_data_file_is_said(site: Path, open_page: Open, chromium: Any) -> None:
    (site / "data" / "rows" / "0.js").unlink()
    page = chromium.new_page()
    try:
        page.goto((site / "index.html").as_uri())
        until(page, "document.querySelector('#trajectories').textContent.includes('belongs together')")
    finally:
        page.close()
