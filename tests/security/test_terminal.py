"""What a model, a server or a data set wrote acts on no terminal and on no CI log, whoever prints it."""

from __future__ import annotations

import io
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from evalkit.cli import main
from evalkit.cli._console import Console
from evalkit.cli._inert import inert

ATTACKS = {
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\text\x1b]8;;\x1b\\",
    "clear": "\x1b[2J\x1b[H",
    "answer back": "\x1b[c\x05",
    "8-bit CSI": "\x9b2J",
    "8-bit OSC": "\x9d0;owned\x9c",
    "device control": "\x90+q544e\x9c",
    "carriage return": "fail\rpass",
    "backspace": "no\x08\x08yes",
    "direction": "\u202ekcatta\u202c \u2066x\u2069",
    "invisible": "a\u200bb\u2060c\ufeff\U000e0041",
    "line separators": "a\u2028b\u2029c\x85d",
}
_OWN = re.compile(r"\x1b\[[0-9;]*m")
"""Colours, which the console itself writes."""


def acts(text: str) -> set[str]:
    """The characters of a text that a terminal obeys or hides."""
    return {c for c in _OWN.sub("", text) if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}


def printed(text: str, *, terminal: bool = False) -> str:
    console = Console()
    console.file = io.StringIO()
    if terminal:
        console._force_terminal = True
    console.print(text, markup=False)
    table = Table(title=Text(text), caption=Text(text))
    table.add_column(Text(text))
    table.add_row(Text(text, style="red"))
    console.print(table)
    console.print(f"[bold]in markup[/bold] {text.replace('[', ' ')}")
    return console.file.getvalue()


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("terminal", [True, False])
def test_no_attack_reaches_the_terminal(name: str, terminal: bool) -> None:
    shown = printed(f"before {ATTACKS[name]} after", terminal=terminal)
    assert not acts(shown)
    assert "before" in shown
    assert "after" in shown


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=60))
def test_no_text_reaches_the_terminal_as_anything_but_text(text: str) -> None:
    assert not acts(printed(text, terminal=True))


@given(st.text(max_size=60))
def test_text_that_does_nothing_is_printed_as_it_is(text: str) -> None:
    safe = "".join(c for c in text if c.isprintable() or c == "\n")
    assert inert(safe) == safe


def test_a_card_with_escapes_is_shown_and_not_obeyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = tmp_path / "card.yaml"
    card.write_text('name: "m\\e]0;owned\\a"\nsummary: "\\e[2J\\x9b2Jsummary"\nunknown: ["\\e[31mred"]\n', "utf-8")
    assert main(["models", str(card)]) == 0
    shown = capsys.readouterr()
    assert not acts(shown.out + shown.err)
    assert "summary" in shown.out


def test_messages_about_hostile_files_do_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a\x1b]0;owned\x07", "b\u202egpj"):
        assert main(["report", str(tmp_path / name)]) == 5
        assert main(["--debug", "models", str(tmp_path / f"{name}.yaml")]) == 2
    shown = capsys.readouterr()
    assert "Traceback" in shown.err
    assert not acts(shown.out + shown.err)


@pytest.mark.parametrize("attack", ["::add-mask::a", "::error::x", "::stop-commands::x", "##[error]x", "##[add-mask]e"])
def test_nothing_printed_in_github_actions_is_a_command(
    attack: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    shown = printed(f"{'x' * 70} {attack}")
    assert main(["models", str(tmp_path / f"{attack}.yaml")]) == 2
    shown += capsys.readouterr().err
    assert "::" not in shown
    assert "##[" not in shown
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert inert(attack) == attack
