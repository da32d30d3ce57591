"""CSV that spreadsheets open, and JSON that people print: data stays data."""

from __future__ import annotations

import csv
import io
import json
import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.reporting.cells import comment_cell, csv_cell, json_text

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", " =1", "\x00=1", "\x1b=1", "\u202e=1")
SPLITS = ("a;=cmd|' /C calc'!A0;b", 'a;"=1"', "a\t=1", "a\n=1", "a;  @x", "a;'+1", "a\r\n-1", "a;＝1")
STARTS = tuple("=+-@＝＋－＠")


def line(*values: object) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([csv_cell(value) for value in values])
    return out.getvalue()


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text: str) -> None:
    (shown,) = next(csv.reader(io.StringIO(line(text))))
    assert not shown.lstrip().startswith(STARTS)
    assert "'" in shown


@pytest.mark.parametrize("text", SPLITS)
@pytest.mark.parametrize("mark", [";", "\t", "\n"])
def test_no_cell_becomes_a_formula_where_cells_are_parted_otherwise(text: str, mark: str) -> None:
    for piece in line("run", text, "x").replace("\r", "\n").split(mark):
        assert not piece.lstrip(' "').startswith(STARTS), piece


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=40))
def test_no_text_is_a_formula_or_acts_on_a_terminal(text: str) -> None:
    shown = csv_cell(text)
    assert isinstance(shown, str)
    assert not shown.startswith((*STARTS, "\t", "\r", "\n"))
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\r\n"]
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c") & set(shown)


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=40))
def test_json_has_the_same_values_and_no_character_that_acts(text: str) -> None:
    written = json_text(msgspec.json.format(msgspec.json.encode({text: [text]}), indent=2).decode())
    assert json.loads(written) == {text: [text]}
    assert not [c for c in written if unicodedata.category(c) == "Cc" and c != "\n"]
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u2028\u2029") & set(
        written
    )


@given(st.text(max_size=60))
def test_no_markdown_cell_breaks_its_table_or_starts_anything(text: str) -> None:
    shown = comment_cell(text)
    assert "\n" not in shown
    bare = shown.replace("\\\\", "")
    for mark in "`*_[]<>|":
        assert bare.count(mark) == bare.count(f"\\{mark}")
    assert "@" not in shown.replace("@\u200b", "")
