"""What a search is, and what a search provider is."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from evalkit.errors import one_line
from evalkit.images import ImageFile

TITLE_CHARS = 300
URL_CHARS = 2_000


class Kind(StrEnum):
    """What is searched with."""

    TEXT = "text"
    IMAGE = "image"


class Search(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One search.

    Attributes:
        kind: see `Kind`.
        sample: id of the sample that it is made for.
        results: most results wanted.
        chars: most characters of a result's text.
        query: of a text search.
        image: sha256 of the image that is searched with.
        address: where the public finds that image; empty where nobody does.
        chain: a digest of this search and of those that went before it in the same trajectory's tool session: two
            trajectories of a sample that have searched alike so far have the same.
    """

    kind: Kind
    sample: str
    results: int
    chars: int
    query: str = ""
    image: str = ""
    address: str = ""
    chain: str = ""

    @property
    def what(self) -> str:
        """The search in words."""
        return repr(one_line(self.query, 80)) if self.kind is Kind.TEXT else "the image"

    @property
    def asked(self) -> tuple[str, str, str, int, int]:
        """What is asked, whoever asks."""
        return (self.kind, self.query, self.image, self.results, self.chars)

    def after(self, chain: str) -> Search:
        """The same search after those that `chain` stands for."""
        digest = hashlib.sha256(msgspec.json.encode((chain, self.asked))).hexdigest()[:16]
        return msgspec.structs.replace(self, chain=digest)


class Hit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One result, as the model is shown it.

    Attributes:
        title: on one line.
        url: of the page.
        text: what the provider gives of the page, on one line.
        thumbnail: the image found; None for a text search, and where it could not be had.
        problem: why `thumbnail` could not be had.
    """

    title: str = ""
    url: str = ""
    text: str = ""
    thumbnail: ImageFile | None = None
    problem: str = ""


class SearchFailedError(Exception):
    """One search failed; the model is told, and the trajectory goes on.

    Attributes:
        timeout: it took too long.
    """

    def __init__(self, reason: str, timeout: bool = False) -> None:
        super().__init__(reason)
        self.timeout = timeout


class Provider(Protocol):
    """Something that can be searched.

    Attributes:
        name: as in `--search NAME`.
        kinds: what it can be searched with.
    """

    name: str
    kinds: frozenset[Kind]

    async def start(self) -> dict[str, Any]:
        """Get ready and see whether it works.

        Returns:
            what identifies it: JSON values that are part of a run's configuration.

        Raises:
            EvalkitError: it cannot be searched, and what to do about it.
        """
        ...

    async def search(self, search: Search) -> tuple[Hit, ...]:
        """The results, best first; at most `search.results`.

        Raises:
            SearchFailedError: this search failed; another one may not.
            SandboxError: no search can be had any more: a key is refused, or a recording does not have it.
        """
        ...

    async def close(self) -> None:
        """Free what it holds; safe to call twice."""
        ...


def hit(title: object, url: object, text: object, chars: int) -> Hit:
    """A text result from what a provider gave: one line each, within the limits, whatever type they are."""
    return Hit(
        title=one_line(_clean(title), TITLE_CHARS),
        url=one_line(_clean(url), URL_CHARS),
        text=one_line(_clean(text), chars),
    )


def _clean(part: object) -> str:
    # lone surrogates are valid in JSON and cannot be stored
    return part.encode("utf-8", "replace").decode() if isinstance(part, str) else ""
