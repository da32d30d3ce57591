"""Text of unknown origin as it may stand in a Markdown table, in a comment, or in a spreadsheet."""

from __future__ import annotations

import re

from evalkit.errors import one_line

_ADDRESS = re.compile(r"(:(?=//)|www(?=\.))(.)", re.IGNORECASE)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


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
    """A value for a CSV file; text that a spreadsheet would take for a formula gets a quote before it.

    Source: OWASP, CSV Injection.
    """
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
