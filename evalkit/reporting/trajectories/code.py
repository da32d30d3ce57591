"""Python code as coloured tokens: pairs of a class and a text, never markup.

One pattern finds all tokens. Pygments tries some fifty of its own at each place, which was two thirds of the time
that a page of many runs took to write.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterator

PLAIN, KEYWORD, BUILTIN, NAMED = "", "k", "b", "f"

_TOKEN = re.compile(
    r"""
      (?P<c> \#[^\n]* )
    | (?P<s> (?i:[rbfut]|[bft]r|r[bft])?
             (?: \"{3} (?: [^"\\] | \\[\s\S]? | \"(?!\"\") )* (?: \"{3} )?
               | '{3}  (?: [^'\\] | \\[\s\S]? | '(?!'')   )* (?: '{3} )?
               | \"    (?: [^"\\\n] | \\[\s\S]? )* \"?
               | '     (?: [^'\\\n] | \\[\s\S]? )* '? ) )
    | (?P<n> \.?[0-9] (?: [0-9A-Za-z_.] | (?<=[0-9.][eE])[+-] )* )
    | (?P<w> [^\W\d]\w* )
    """,
    re.VERBOSE,
)
_KEYWORDS = frozenset(keyword.kwlist)
_BUILTINS = frozenset(name for name in dir(builtins) if not name.startswith("_")) | {"self", "cls"}
_NAMES_NEXT = frozenset({"def", "class", "import", "from"})


def tokens(code: str) -> tuple[tuple[str, str], ...]:
    """The tokens of `code`; joined, their texts are the code.

    Classes: "k" keyword, "b" builtin, "f" name of a function, class or module where it is defined or imported, "s"
    string, "n" number, "c" comment, "" anything else.
    """
    merged: list[tuple[str, str]] = []
    for kind, text in _tokens(code):
        # space has no colour and need not part two tokens
        if merged and (merged[-1][0] == kind or text.isspace()):
            merged[-1] = (merged[-1][0], merged[-1][1] + text)
        elif text:
            merged.append((kind, text))
    return tuple(merged)


def _tokens(code: str) -> Iterator[tuple[str, str]]:
    at, before = 0, ""
    for found in _TOKEN.finditer(code):
        between = code[at : found.start()]
        yield PLAIN, between
        text, kind, at = found[0], str(found.lastgroup), found.end()
        yield (_word(text, before, between) if kind == "w" else kind), text
        before = text
    yield PLAIN, code[at:]


def _word(text: str, before: str, between: str) -> str:
    """The class of a name, by what stands before it."""
    after_dot = between.endswith(".")
    if text in _KEYWORDS and not after_dot:
        return KEYWORD
    if before in _NAMES_NEXT and between.isspace():
        return NAMED
    return BUILTIN if text in _BUILTINS and not after_dot else PLAIN
