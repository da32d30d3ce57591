"""The tables against lmms-eval in docs/scoring.md, run again with the real lmms-eval.

Run by `nox -s e2e`, which sets EVALKIT_E2E_LMMS to a Python that has lmms-eval 0.7.3.
"""

from __future__ import annotations

import os

import pytest

from tests.e2e import lmms_tables
from tests.e2e.lmms_causes import OTHER
from tests.e2e.lmms_tables import CAUSES, CORPUS, COUNTS, EXAMPLE, RIGHT, printed

LMMS = os.environ.get("EVALKIT_E2E_LMMS")
pytestmark = [
    pytest.mark.skipif(LMMS is None, reason="EVALKIT_E2E_LMMS names no Python with lmms-eval (nox -s e2e sets it)"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def tables(shared_data: object) -> dict[str, list[str]]:
    assert LMMS is not None
    found = lmms_tables.tables(LMMS)
    for head, rows in found.items():
        print("\n".join([head, *rows, ""]))
    return found


@pytest.mark.parametrize(
    "head", [COUNTS, CAUSES, RIGHT, EXAMPLE, CORPUS], ids=["counts", "causes", "right", "examples", "corpus"]
)
def test_the_guide_says_what_comes_out(tables: dict[str, list[str]], head: str) -> None:
    assert len(printed(head)) > 1
    assert tables[head] == printed(head)


def test_no_disagreement_is_left_unexplained(tables: dict[str, list[str]]) -> None:
    assert not [row for row in tables[CAUSES] if f"| {OTHER} |" in row]
