"""Text of models, tools and data sets on a terminal: seen whole, never obeyed."""

from __future__ import annotations

from rich.console import RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.text import Text

LONGEST = 4000
"""Characters shown of one text unless the whole is asked for."""
_COLOURED = 20_000


def visible(text: str, limit: int | None = LONGEST) -> str:
    """`text` with its line breaks, every other character that a terminal could obey written as an escape.

    Escaped are control characters, direction marks and overrides, invisible format characters and lone
    surrogates: all that `str.isprintable` refuses.

    Args:
        text: as it is stored.
        limit: characters shown; None for all.
    """
    left = 0
    if limit is not None and len(text) > limit:
        left = len(text) - limit
        text = text[:limit]
    text = text.replace("\r\n", "\n").replace("\t", "    ")
    shown = "".join(c if c == "\n" or c.isprintable() else _escaped(c) for c in text)
    return shown + (f"\n… {left:,} characters more (--full shows all)" if left else "")


def block(text: str, limit: int | None, indent: int = 4) -> RenderableType:
    """A text, indented and wrapped."""
    return Padding(Text(visible(text, limit).strip("\n") or "(empty)"), (0, 0, 0, indent), expand=False)


def code_block(code: str, limit: int | None, indent: int = 6) -> RenderableType:
    """Python code in colours where the terminal has them."""
    shown = visible(code, limit).strip("\n")
    if len(shown) > _COLOURED:
        return block(code, limit, indent)
    syntax = Syntax(shown, "python", theme="ansi_dark", word_wrap=True, background_color="default")
    return Padding(syntax, (0, 0, 0, indent), expand=False)


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
