"""How much a model family is shown of a search."""

from __future__ import annotations

import msgspec


class SearchSizes(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of a family's search results; more is cut off.

    Attributes:
        results: of a text search, at most.
        images: results of an image search, at most.
        chars: of a result's text, at most.
    """

    results: int = 10
    images: int = 5
    chars: int = 1_000
