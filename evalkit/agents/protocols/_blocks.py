"""A text as a row of blocks between tags that do not nest, read in one pass."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator

import msgspec


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a text.

    Attributes:
        kind: name of its tags; "" for text between blocks.
        start: where it begins, its opening tag included.
        end: where it ends, its closing tag included.
        inside: the text between its tags; of text between blocks, all of it.
        closed: whether its closing tag is there; a block that is not closed goes on to the text's end.
    """

    kind: str
    start: int
    end: int
    inside: str
    closed: bool = True


class Blocks:
    """Reads blocks of some kinds.

    A block ends with the next closing tag of its kind, whatever tags of other kinds are inside. An opening tag
    that has none is text; of the kinds in `open_ended`, it opens a block to the text's end.

    Args:
        kinds: names of tags.
        open_ended: see above.
        unnested: kinds whose opening tag is text too where another one comes before the closing tag.
    """

    def __init__(self, *kinds: str, open_ended: tuple[str, ...] = (), unnested: tuple[str, ...] = ()) -> None:
        self._kinds = kinds
        self._open_ended = open_ended
        self._unnested = unnested
        self._tag = re.compile(f"<(/?)({'|'.join(map(re.escape, kinds))})>")

    def read(self, text: str) -> Iterator[Block]:
        """The blocks of `text` and what is between them, in order; together they are the whole text."""
        tags = list(self._tag.finditer(text))
        closing = {kind: [tag for tag in tags if tag[1] and tag[2] == kind] for kind in self._kinds}
        opening = {kind: [tag.start() for tag in tags if not tag[1] and tag[2] == kind] for kind in self._unnested}
        starts = {kind: [tag.start() for tag in found] for kind, found in closing.items()}
        at = 0
        for tag in tags:
            kind = tag[2]
            if tag[1] or tag.start() < at:
                continue
            place = bisect_left(starts[kind], tag.end())
            close = closing[kind][place] if place < len(closing[kind]) else None
            if close is None and kind not in self._open_ended:
                continue
            if close is not None and kind in self._unnested:
                other = bisect_left(opening[kind], tag.end())
                if other < len(opening[kind]) and opening[kind][other] < close.start():
                    continue
            if tag.start() > at:
                yield Block(kind="", start=at, end=tag.start(), inside=text[at : tag.start()])
            inner, at = (close.start(), close.end()) if close is not None else (len(text), len(text))
            inside = text[tag.end() : inner]
            yield Block(kind=kind, start=tag.start(), end=at, inside=inside, closed=close is not None)
        if at < len(text):
            yield Block(kind="", start=at, end=len(text), inside=text[at:])
