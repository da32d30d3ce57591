"""An exported run in the real `inspect view`, opened in a headless Chromium."""

from __future__ import annotations

import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import chromium, shot
from tests.e2e.inspect_runs import INSPECT, export_run
from tests.e2e.serving import free_port

pytest.importorskip("inspect_ai", reason="inspect_ai is not installed (nox -s e2e installs it)")

__all__ = ["chromium", "shot"]

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported run."""
    return export_run(tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="module")
def viewer(log: Path) -> Iterator[str]:
    """The address of a real `inspect view`."""
    port = free_port()
    command = [INSPECT, "view", "start", "--log-dir", str(log.parent), "--host", "127.0.0.1", "--port", str(port)]
    with (log.parent.parent / "view.txt").open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(address, timeout=5)
                break
            except OSError:
                assert process.poll() is None, (log.parent.parent / "view.txt").read_text()
                time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def test_the_viewer_opens_a_log(chromium: Any, viewer: str, log: Path, shot: Any) -> None:
    page = chromium.new_page(viewport={"width": 1300, "height": 1000})
    page.set_default_timeout(60_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))

    page.goto(f"{viewer}/#/logs/{log.name}")
    page.get_by_text("22 Samples", exact=True).wait_for()
    page.get_by_text("first", exact=True).first.wait_for()
    shot(page, "inspect_samples")
    page.get_by_text("first", exact=True).first.click()
    page.get_by_text(re.compile("Model call: evalkit/m", re.IGNORECASE)).first.wait_for()
    page.wait_for_function(
        "() => [...document.images].filter(i => i.src.startsWith('data:image') && i.naturalWidth == 40).length >= 3"
    )
    page.get_by_text(re.compile("Tool: crop", re.IGNORECASE)).first.wait_for()
    shot(page, "inspect_transcript")
    page.close()

    assert problems == []
