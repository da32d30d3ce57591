"""A headless Chromium for pages that evalkit writes. Without one the tests are skipped and say so.

`EVALKIT_CHROMIUM` names the browser where it is not on the path, `EVALKIT_AXE` axe-core's `axe.min.js` where it is not
in `node_modules` of the checkout (`npm install axe-core`), `EVALKIT_SCREENSHOTS` a folder for screenshots.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_LOCAL = ("file:", "data:", "blob:")

Open = Callable[..., Any]


def until(page: Any, expression: str, seconds: float = 15) -> None:
    """Wait for an expression to be true; playwright's own way needs `eval`, which the pages forbid."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never true: {expression}"
        page.wait_for_timeout(30)


# of a module: while playwright's own event loop runs, no test with another one can
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")
    named = os.environ.get("EVALKIT_CHROMIUM")
    found = named or next((place for name in _NAMES if (place := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no Chromium (apt-get install chromium, or EVALKIT_CHROMIUM)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Open]:
    """Opens a page as its reader would; afterwards no page may have complained or asked a host for anything.

    Arguments: the address or file; `width`, `height`; `theme`, "light" or "dark"; `hosts`, the ones it may ask;
    anything else goes to the browser's context.
    """
    contexts = []
    problems: list[str] = []

    def open_(
        place: str | Path,
        *,
        width: int = 1280,
        height: int = 800,
        theme: str = "light",
        hosts: tuple[str, ...] = (),
        **more: Any,
    ) -> Any:
        size = {"width": width, "height": height}
        context = chromium.new_context(viewport=size, color_scheme=theme, **more)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: (problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on(
            "request", lambda asked: None if asked.url.startswith((*_LOCAL, *hosts)) else problems.append(asked.url)
        )
        page.goto(place if isinstance(place, str) else place.resolve().as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def shot(tmp_path: Path) -> Callable[..., Path]:
    """Keeps a screenshot: in the folder that `EVALKIT_SCREENSHOTS` names, else with the test's other files."""
    named = os.environ.get("EVALKIT_SCREENSHOTS")
    folder = Path(named) if named else tmp_path / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)

    def keep(page: Any, name: str, *, whole: bool = False) -> Path:
        file = folder / f"{name}.png"
        page.screenshot(path=file, full_page=whole)
        return file

    return keep


@pytest.fixture(scope="session")
def axe() -> Callable[[Any], list[str]]:
    """What axe-core finds wrong with a page, a line each."""
    named = os.environ.get("EVALKIT_AXE")
    file = Path(named) if named else ROOT / "node_modules" / "axe-core" / "axe.min.js"
    if not file.is_file():
        pytest.skip("axe-core is not at hand (npm install axe-core, or EVALKIT_AXE)")
    code = file.read_text("utf-8")

    def check(page: Any) -> list[str]:
        page.evaluate(code)
        found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {one['help']}: {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]
        ]

    return check
