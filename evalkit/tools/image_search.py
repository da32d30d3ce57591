"""The image search tool: from the first image of the sample to pages that show such images, with thumbnails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.records import CallStatus, Sample
from evalkit.search import Hit, Kind, Search, Searcher
from evalkit.tools.base import ToolResult, ToolSpec
from evalkit.tools.search_sizes import SearchSizes
from evalkit.tools.text_search import found, heading

IMAGE_SEARCH = "image_search"
PUBLIC_ADDRESS = "image_url"
"""Key of a sample's metadata: where the public finds its first image, for providers that take nothing else."""

_DESCRIPTION = "Search the web for images like the first one; titles and thumbnails of the best results come back."
_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}, "required": []}


class ImageSearchTool:
    """Searches with a sample's first image; a call takes no arguments, and those given are not looked at.

    Args:
        searcher: started and closed by whoever made it.
        sizes: what the family is shown.
    """

    def __init__(self, searcher: Searcher, sizes: SearchSizes) -> None:
        self._searcher = searcher
        self._sizes = sizes

    @property
    def spec(self) -> ToolSpec:
        """No argument."""
        return ToolSpec(name=IMAGE_SEARCH, description=_DESCRIPTION, parameters=_PARAMETERS)

    async def open(self, sample: Sample, names: Mapping[str, str]) -> ImageSearchSession:
        """A session for one trajectory; there is nothing to start."""
        return ImageSearchSession(self._searcher, self._sizes, sample)


class ImageSearchSession:
    """The image search in the hands of one trajectory."""

    def __init__(self, searcher: Searcher, sizes: SearchSizes, sample: Sample) -> None:
        self._searcher = searcher
        self._sizes = sizes
        self._sample = sample
        self._chain = ""

    async def call(self, arguments: dict[str, Any]) -> ToolResult:
        """Search with the sample's first image.

        Raises:
            SandboxError: no search can be had any more, whatever the image.
            DataError: the image cannot be read.
        """
        if not self._sample.images:
            return ToolResult(status=CallStatus.FAILED, error="The search failed: there is no image to search with")
        header = await self._sample.images[0].inspect()
        search = Search(
            kind=Kind.IMAGE,
            sample=self._sample.id,
            image=header.sha256,
            address=str(self._sample.metadata.get(PUBLIC_ADDRESS) or ""),
            results=self._sizes.images,
            chars=self._sizes.chars,
        ).after(self._chain)
        self._chain = search.chain
        return await found(self._searcher, search, _text)

    async def close(self) -> None:
        """There is nothing to free."""


def _text(search: Search, hits: tuple[Hit, ...]) -> str:
    """The titles, and which of the images that follow belongs to which."""
    if not hits:
        return "An image search found no results."
    lines = [f"An image search found {len(hits)} result{'s' if len(hits) > 1 else ''}:", ""]
    shown = 0
    for place, one in enumerate(hits, 1):
        shown += one.thumbnail is not None
        mark = f"image {shown} below" if one.thumbnail is not None else "no image"
        lines.append(f"{place}. {heading(one)} ({mark})")
    return "\n".join(lines)
