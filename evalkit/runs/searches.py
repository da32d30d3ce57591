"""The search tools of a run: their providers, and the file in its folder where every search is recorded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.agents.protocols import PROTOCOLS
from evalkit.errors import EvalkitError
from evalkit.images import encode_hook
from evalkit.models import ModelCard
from evalkit.records import Sample
from evalkit.runs.append import AppendFile
from evalkit.runs.image_folder import ImageFolder
from evalkit.search import OPTIONS, SEARCHES, THUMBNAILS, Kind, Line, Recorder, Searcher, provider_of
from evalkit.tools import IMAGE_SEARCH, PUBLIC_ADDRESS, TEXT_SEARCH, ImageSearchTool, SearchSizes, TextSearchTool, Tool

_TOOLS = {Kind.TEXT: TEXT_SEARCH, Kind.IMAGE: IMAGE_SEARCH}


class SearchLog:
    """Appends searches to the `searches.jsonl` of the run folder that is being filled."""

    def __init__(self) -> None:
        self._file: AppendFile | None = None
        self._images: ImageFolder | None = None
        self._encoder = msgspec.json.Encoder(enc_hook=encode_hook)

    @contextlib.contextmanager
    def into(self, folder: Path) -> Iterator[None]:
        """Record into this folder; what an earlier start recorded there stays.

        Raises:
            InfrastructureError: it cannot be written.
        """
        self._images = ImageFolder(folder / THUMBNAILS)
        self._file = AppendFile(folder / SEARCHES)
        try:
            yield
        finally:
            self._file.close()
            self._file = self._images = None

    async def write(self, line: Line) -> None:
        """See `evalkit.search.Recorder`; outside `into` nothing is recorded."""
        if self._file is None or self._images is None:
            return
        thumbnails = [found.thumbnail for found in line.hits if found.thumbnail is not None]
        for image in thumbnails:
            await asyncio.to_thread(self._images.save, image)
        self._file.append(self._encoder.encode(line) + b"\n")


class Searches:
    """The providers that the user named, by kind.

    Args:
        named: what stands after `--search` and `--image-search`; empty for none.
        tools: what the agent may be offered.
        sizes: what its family is shown.
        recorder: told of every search; None for the run folder that `into` names.

    Attributes:
        facts: what identifies each provider, by tool; part of the configuration. Filled by `start`.

    Raises:
        EvalkitError: a provider is not known, cannot be had, or would be no tool of the agent's.
    """

    def __init__(
        self, named: Mapping[Kind, str], tools: Sequence[str], sizes: SearchSizes, recorder: Recorder | None = None
    ) -> None:
        self.facts: dict[str, Any] = {}
        self._sizes = sizes
        self._log = SearchLog()
        self._by_kind: dict[Kind, Searcher] = {}
        for kind, text in named.items():
            if not text:
                continue
            if _TOOLS[kind] not in tools:
                known = ", ".join(tools) or "none"
                raise EvalkitError(f"{OPTIONS[kind]} does nothing: the agent has no tool for it (its tools: {known})")
            self._by_kind[kind] = Searcher(provider_of(kind, text), recorder or self._log)

    def tools(self) -> dict[str, Tool]:
        """The tools by name."""
        found: dict[str, Tool] = {}
        if searcher := self._by_kind.get(Kind.TEXT):
            found[TEXT_SEARCH] = TextSearchTool(searcher, self._sizes)
        if searcher := self._by_kind.get(Kind.IMAGE):
            found[IMAGE_SEARCH] = ImageSearchTool(searcher, self._sizes)
        return found

    async def start(self) -> None:
        """Try every provider.

        Raises:
            EvalkitError: one does not work, and what to do about it.
        """
        for kind, searcher in self._by_kind.items():
            results = self._sizes.results if kind is Kind.TEXT else self._sizes.images
            self.facts[_TOOLS[kind]] = {**await searcher.start(), "results": results, "chars": self._sizes.chars}

    def notes(self, samples: Sequence[Sample]) -> list[str]:
        """What must be said of these searches on a task: for how many samples an image search finds nothing.

        Raises:
            EvalkitError: it can for none of them.
        """
        searcher = self._by_kind.get(Kind.IMAGE)
        if searcher is None or not samples:
            return []
        provider = searcher.provider
        knows = getattr(provider, "knows", None)
        if knows is not None:
            lost = sum(not knows(sample.id) for sample in samples)
            what = "no entry in the image cache"
        elif provider.name == "serper":
            lost = sum(not sample.metadata.get(PUBLIC_ADDRESS) for sample in samples)
            what = f"no public address ({PUBLIC_ADDRESS} in their metadata)"
        else:
            return []
        if lost == len(samples):
            raise EvalkitError(f"--image-search {provider.name}: all {lost} samples have {what}")
        return [f"{IMAGE_SEARCH} fails for {lost} of {len(samples)} samples: {what}"] if lost else []

    @contextlib.contextmanager
    def into(self, folder: Path) -> Iterator[None]:
        """Record what is searched into this run folder; without a provider, do nothing.

        Raises:
            InfrastructureError: it cannot be written.
        """
        with self._log.into(folder) if self._by_kind else contextlib.nullcontext():
            yield

    async def record(self, line: Line) -> None:
        """Record a search that was made elsewhere.

        Raises:
            InfrastructureError: it cannot be written.
        """
        await self._log.write(line)

    async def close(self) -> None:
        """Free the providers; safe to call twice."""
        for searcher in self._by_kind.values():
            await searcher.close()


def offered(card: ModelCard) -> list[str]:
    """The tools that a card's agent should have, as its protocol and the card have them."""
    return [name for name in PROTOCOLS[card.protocol].tools if card.tools is None or name in card.tools]


def searches_for(card: ModelCard, search: str, image_search: str, recorder: Recorder | None = None) -> Searches:
    """The providers for the search tools of a card's agent, not started yet.

    Args:
        card: its protocol is known.
        search: as in `--search`; empty for none.
        image_search: as in `--image-search`; empty for none.
        recorder: see `Searches`.

    Raises:
        EvalkitError: see `Searches`.
    """
    sizes = PROTOCOLS[card.protocol].search or SearchSizes()
    return Searches({Kind.TEXT: search, Kind.IMAGE: image_search}, offered(card), sizes, recorder)
