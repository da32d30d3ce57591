"""How long a report of many runs takes, what memory it needs, how large it is, and how soon its page can be used.

The runs are those of benchmarks/analysis.py. Each figure stands beside its limit, with its share of it.

usage: python benchmarks/report.py [--runs 100] [--rows 5000] [--folder DIR] [--trajectories N]
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from analysis import make_runs  # type: ignore[import-not-found]

SECONDS, MEMORY_GB, FILE_MB, INTERACTIVE_S = 30.0, 2.0, 15.0, 2.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
OPENINGS = 5
# usable: the tables can be sorted, the rows of the first run are listed, and a frame with them has been shown
WATCH = """
const ready = () => /[0-9]/.test(document.querySelector("#trajectories [role=status]")?.textContent ?? "");
new MutationObserver((_, observer) => {
  if (!ready()) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => (globalThis.usable = performance.now())));
}).observe(document, { childList: true, subtree: true, characterData: true });
"""
SORT = """
() => new Promise((done) => {
  const begun = performance.now();
  document.querySelector("table.leaderboard th button").click();
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun)));
})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--folder", type=Path, help="keep the runs here and take them from here if they are there")
    parser.add_argument("--trajectories", help="as evalkit report takes it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made) / "runs"
        folders = make_runs(folder, options.runs, options.rows)
        page = Path(made) / "report.html"
        chosen = ["--trajectories", options.trajectories] if options.trajectories else []
        measure([*map(str, folders), "--html", str(page), *chosen], page)
        for more in ("--md", "--csv", "--json"):
            file = Path(made) / f"report{more[1:]}"
            seconds, busy, _ = run([*map(str, folders), more, str(file)])
            print(f"{seconds:8.2f} s  {more}, {busy:.2f} s of processors, {file.stat().st_size / 1000:.0f} kB")
        interactive(page)


def measure(arguments: list[str], page: Path) -> None:
    seconds, busy, memory = run(arguments)
    say("s", seconds, SECONDS, "tables, charts, trajectories and the page, from start to end of the command")
    print(f"{busy:8.2f} s  of it on processors, the readers' included")
    say("GB", memory / 1e9, MEMORY_GB, "most memory of the command and its readers together")
    say("MB", page.stat().st_size / 1e6, FILE_MB, "the page")


def run(arguments: list[str]) -> tuple[float, float, int]:
    """Run `evalkit report`; seconds, processor seconds, and the most bytes that it and its readers held at one time."""
    clock, busy, most = time.perf_counter(), processors(), 0
    with subprocess.Popen(
        [sys.executable, "-m", "evalkit", "report", *arguments], stdout=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            most = max(most, resident(process.pid))
            time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"evalkit report ended with {process.returncode}")
    return time.perf_counter() - clock, processors() - busy, most


def processors() -> float:
    """Seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def resident(root: int) -> int:
    """Bytes of a process and all below it; what they share counts in each."""
    parents, sizes = {}, {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            sizes[int(place.name)] = int((place / "statm").read_text().split()[1]) * 4096
        except (OSError, ValueError, IndexError):
            continue
    mine = {root}
    while more := {one for one, parent in parents.items() if parent in mine} - mine:
        mine |= more
    return sum(sizes.get(one, 0) for one in mine)


def interactive(page: Path) -> None:
    """How soon the page can be used in a headless browser."""
    found = next((place for name in BROWSERS if (place := shutil.which(name))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        found = None
    if found is None:
        print("skipped: how soon the page can be used; it takes Chromium and playwright")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        times = [opened(browser, page) for _ in range(OPENINGS)]
        browser.close()
    usable, sorting, rows = (statistics.median(column) for column in zip(*times, strict=True))
    say("s", usable / 1000, INTERACTIVE_S, f"until the page can be used; its leaderboards have {rows:.0f} rows")
    print(f"{sorting / 1000:8.3f} s  to sort a leaderboard")


def opened(browser: Any, page: Path) -> tuple[float, float, float]:
    """Milliseconds until it can be used, and to sort a leaderboard; rows of its leaderboards that are runs."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_init_script(WATCH)
    tab = context.new_page()
    tab.goto(page.as_uri(), wait_until="commit")
    deadline = time.monotonic() + 60
    while (usable := tab.evaluate("globalThis.usable")) is None:
        if time.monotonic() > deadline:
            raise SystemExit("the page was not usable within a minute")
        time.sleep(0.05)
    sorting = tab.evaluate(SORT)
    rows = tab.evaluate("document.querySelectorAll('table.leaderboard tr[data-kind=measured]').length")
    context.close()
    return usable, sorting, rows


def say(unit: str, value: float, limit: float, what: str) -> None:
    print(f"{value:8.2f} {unit:2} {value / limit:6.1%} of {limit:g} {unit}: {what}")


if __name__ == "__main__":
    main()
