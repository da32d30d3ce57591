"""The tables of docs/guide.md say what the code says, and the options and links of all pages exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from evalkit import ExitCode, Verdict
from evalkit.agents.protocols import PROTOCOLS, Protocol
from evalkit.cli import app
from evalkit.content import find_tasks
from evalkit.models.card import ENGINES
from tests.conftest import ROOT

DOCS = ROOT / "docs"
GUIDE = (DOCS / "guide.md").read_text()
PAGES = [*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "evalkit" / "models" / "README.md"]
OTHER = {
    "--body-file", "--process-docs-parallel",
    # lmms-eval's, in docs/bridges.md
    "--model_args", "--include_path", "--log_samples", "--output_path", "--baseline",
    # Inspect's, there too
    "--log-dir", "--scorer", "--action", "--overwrite", "--display", "--to",
    # sbatch's and benchmarks/scale_model.py's, in docs/scale.md
    "--nodes", "--price",
}  # fmt: skip
"""Options of other programs that pages name."""


def rows(heading: str, table: int = 0) -> list[list[str]]:
    """The cells of a table below a heading, without its first two lines."""
    after = GUIDE[GUIDE.index(f"\n{heading}\n") :]
    body = re.findall(r"^\|.*\n\|[-| ]+\n((?:\|.*\n)+)", after, re.MULTILINE)[table]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in body.splitlines()]


def code(cell: str) -> list[str]:
    """The words in backquotes."""
    return re.findall(r"`([^`]+)`", cell)


def tools(kind: type[Protocol]) -> str:
    """A protocol's tools, as the table has them."""
    names = ", ".join(f"`{name}`" for name in kind.tools or kind.server_tools) or "none"
    return f"its server's: {names}" if kind.server_tools else names


def test_every_protocol_is_there_with_its_tools() -> None:
    assert [(row[0], row[2]) for row in rows("### Protocols")] == [
        (f"`{name}`", tools(kind)) for name, kind in PROTOCOLS.items()
    ]


def test_every_quirk_is_there_in_the_words_of_its_protocol() -> None:
    wanted = [
        [f"`{name}`", f"`{quirk}`", what] for name, kind in PROTOCOLS.items() for quirk, what in kind.quirks.items()
    ]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in wanted)
    assert rows("### Quirks") == wanted, f"the table should be\n{lines}"


def test_every_exit_code_is_there() -> None:
    assert [int(row[0]) for row in rows("## Exit codes")] == [code.value for code in ExitCode]


def test_every_outcome_is_there() -> None:
    assert {name for row in rows("## A run") for name in code(row[0])} == {verdict.value for verdict in Verdict}


def test_every_engine_is_there() -> None:
    assert [code(row[0]) for row in rows("### Engines")] == [[name] for name in ENGINES]


def test_every_task_is_there() -> None:
    assert set(find_tasks()) <= {name for row in rows("## Data", table=1) for name in code(row[0])}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_options_that_exist(page: Path) -> None:
    # benchmarks and tests have options of their own
    lines = [line for line in page.read_text().splitlines() if not re.search(r"python (benchmarks/|-m )", line)]
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9_-]+", "\n".join(lines)))
    assert named - set(options(typer.main.get_command(app))) - OTHER == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text()):
        file = page.parent / target if target else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text()), f"{target}#{anchor}"


def anchors(text: str) -> set[str]:
    """Where links into a page may lead, as GitHub names its headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def options(command: Any) -> Iterator[str]:
    """The options of a command and of all below it."""
    yield "--help"
    yield "--debug"
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    for inner in getattr(command, "commands", {}).values():
        yield from options(inner)
