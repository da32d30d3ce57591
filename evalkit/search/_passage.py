"""Words of a text, and the passage of it that has most of those that were searched for."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Collection

_UNSPACED = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
WORD = rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+"
"""A word; in scripts that are written without spaces, a character."""
_WORD = re.compile(WORD)
_LOOKED_AT = 2_000_000


def words(text: str) -> list[str]:
    """The words of a text, in small letters."""
    return _WORD.findall(text.lower())


def passage(text: str, wanted: Collection[str], chars: int) -> str:
    """The part of `text` of at most `chars` characters with most different wanted words; the first of equals.

    Args:
        text: of a document; of a very long one the first 2 million characters are looked at.
        wanted: words, as `words` gives them.
        chars: most characters.

    Returns:
        the part on one line, with an ellipsis where something was left out.
    """
    text = " ".join(text[:_LOOKED_AT].split())
    if len(text) <= chars:
        return text
    asked = set(wanted)
    start = _start(text, asked, chars // 2)
    # the words found stand in the middle, whole words at both ends
    start = max(0, min(start - chars // 4, len(text) - chars + 2))
    if start:
        space = text.find(" ", start, start + 40)
        start = space + 1 if space >= 0 else start
    room = chars - (start > 0) - 1
    end = min(len(text), start + room)
    if end < len(text):
        space = text.rfind(" ", max(start, end - 40), end)
        end = space if space > start else end
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def _start(text: str, asked: set[str], span: int) -> int:
    """Where the first stretch of `span` characters begins that has most different words of `asked`."""
    inside: deque[tuple[int, str]] = deque()
    counts: Counter[str] = Counter()
    best, place = 0, 0
    for match in _WORD.finditer(text):
        word = match.group().lower()
        if word not in asked:
            continue
        inside.append((match.start(), word))
        counts[word] += 1
        while match.end() - inside[0][0] > span and len(inside) > 1:
            gone = inside.popleft()[1]
            counts[gone] -= 1
            if not counts[gone]:
                del counts[gone]
        if len(counts) > best:
            best, place = len(counts), inside[0][0]
    return place
