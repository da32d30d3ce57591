"""Code with its indentation guessed anew from the ends of its lines, as DeepEyesV2's evaluation does."""

from __future__ import annotations

_CLAUSES = ("except", "elif", "else", "finally")
_STEP = "    "


def reindented(code: str) -> str:
    """`code` without empty lines, a level deeper after each line that ends with a colon.

    Only a line that begins with except, elif, else or finally goes back a level (whatever follows these letters):
    what stands behind a loop or a branch becomes a part of it.
    """
    level, lines = 0, []
    for line in filter(None, map(str.strip, code.split("\n"))):
        level -= line.startswith(_CLAUSES) and level > 0
        lines.append(_STEP * level + line)
        level += line.endswith(":")
    return "\n".join(lines)
