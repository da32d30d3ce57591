"""docs/metrics.md says what the code does: its examples are run, and no figure is left out of it."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import pytest

from evalkit import stats
from evalkit.analysis.counterfactual import counterfactual
from evalkit.analysis.counting import DEFINITIONS
from evalkit.reporting.need import need_rows
from tests.arms import cells

DOC = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[int, str]]:
    """The line each example begins on, and its text."""
    text = DOC.read_text()
    return [(text[: found.start()].count("\n") + 1, found[1]) for found in FENCE.finditer(text)]


def test_every_example_gives_what_it_says() -> None:
    # a reader goes from the top, and so do the examples: later ones know the names of earlier ones
    names: dict[str, Any] = {}
    failures: list[str] = []
    tried = 0
    for line, text in blocks():
        example = doctest.DocTestParser().get_doctest(text, names, f"metrics.md:{line}", str(DOC), line)
        runner = doctest.DocTestRunner(verbose=False)
        runner.run(example, out=failures.append, clear_globs=False)
        names.update(example.globs)
        tried += runner.tries
    assert failures == []
    assert tried > 40


def test_examples_are_all_in_fences_that_are_run() -> None:
    assert DOC.read_text().count(">>> ") == sum(text.count(">>> ") for _, text in blocks())


def test_a_wrong_example_would_be_seen() -> None:
    failures: list[str] = []
    example = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    doctest.DocTestRunner(verbose=False).run(example, out=failures.append)
    assert failures


@pytest.mark.parametrize("name", [name for name in stats.__all__ if name[0].islower()])
def test_every_statistic_is_named(name: str) -> None:
    assert f"`{name}`" in DOC.read_text()


@pytest.mark.parametrize("name", [definition.name for definition in DEFINITIONS])
def test_every_authors_way_of_counting_is_named(name: str) -> None:
    assert name in DOC.read_text()


def test_every_need_figure_is_defined_under_its_printed_name() -> None:
    found = counterfactual(cells({(True, True, True): 2, (False, False, False): 2}))
    assert found is not None
    text = re.sub(r"[|*`]", "", DOC.read_text())
    assert [row.name for row in need_rows(found) if row.name not in text] == []
