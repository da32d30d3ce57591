"""Text of unknown origin as it may stand in a Markdown table, in a comment, or in a spreadsheet."""

from __future__ import annotations

import re

from evalkit.errors import one_line

_ADDRESS = re.compile(r"(:(?=//)|www(?=\.))(.)", re.IGNORECASE)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# where a spreadsheet parts cells by semicolons or tabs, quotes within a line do not hold a cell together
_INNER_FORMULA = re.compile(r"([;\t\n])(?=[\s\"']*[=+\-@＝＋－＠])")
_ACTS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What acts on a terminal or misleads in an editor: controls, marks of direction, half surrogate pairs."""


def cell(value: object, limit: int = 400) -> str:
    """Text that cannot break a Markdown table, start HTML or open a link."""
    text = one_line(value, limit)
    for mark in "\\`*_[]<>|":
        text = text.replace(mark, "\\" + mark)
    # GitHub makes links of bare addresses too
    return _ADDRESS.sub(lambda found: found[1] + "\\" + found[2], text)


def comment_cell(value: object, limit: int = 400) -> str:
    """The same for a comment, where it can call no person and name no issue either."""
    return cell(value, limit).replace("@", "@\u200b").replace("#", "#\u200b")


def csv_cell(value: object) -> object:
    """A value for a CSV file; what a spreadsheet would take for a formula gets a quote before it.

    Source: OWASP, CSV Injection. Control characters become spaces: a table is often looked at with `cat`.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    # the writer puts no quotes around a lone carriage return, which begins a row all the same
    text = _ACTS.sub(" ", value.replace("\r\n", "\n").replace("\r", "\n"))
    text = _INNER_FORMULA.sub(r"\1'", text)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def json_text(text: str) -> str:
    """JSON in which nothing acts where it is printed: the same values, the characters in question as escapes."""
    return _ACTS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
