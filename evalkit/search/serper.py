"""Serper (serper.dev): Google's results for a text, and Google Lens' for an image with a public address."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from evalkit.search._http import Service, key_from, rows
from evalkit.search.base import Hit, Kind, Search, SearchFailedError, hit
from evalkit.search.thumbnails import NoImageError, Thumbnails

_URL = "https://google.serper.dev"
_KEY = "SERPER_API_KEY"


class SerperProvider:
    """Searches Google with the key in SERPER_API_KEY.

    Args:
        url: of the API; a test has one of its own.
        thumbnails: fetches the images that results name.

    Raises:
        EvalkitError: there is no key.
    """

    name = "serper"
    kinds = frozenset(Kind)

    def __init__(self, url: str = _URL, thumbnails: Thumbnails | None = None) -> None:
        key = key_from(_KEY, "serper")
        self._url = url
        self._thumbnails = thumbnails or Thumbnails()
        self._service = Service(
            "Serper",
            refused=f"look at the key in {_KEY} and at its credits",
            headers={"X-API-KEY": key},
            secrets=(key,),
        )

    async def start(self) -> dict[str, Any]:
        """One search, which shows whether the key is good.

        Raises:
            EvalkitError: it is not, or the service cannot be reached.
        """
        await self._service.begin("POST", f"{self._url}/search", json={"q": "test", "num": 1})
        return {"kind": self.name}

    async def search(self, search: Search) -> tuple[Hit, ...]:
        """See `Provider.search`."""
        if search.kind is Kind.IMAGE:
            return await self._lens(search)
        body = {"q": search.query, "num": search.results}
        answer = await self._service.ask("POST", f"{self._url}/search", json=body)
        found = rows(answer, "organic")[: search.results]
        return tuple(hit(row.get("title"), row.get("link"), row.get("snippet"), search.chars) for row in found)

    async def close(self) -> None:
        """See `Provider.close`."""
        await self._service.close()
        await self._thumbnails.close()

    async def _lens(self, search: Search) -> tuple[Hit, ...]:
        if not search.address:
            raise SearchFailedError("this image has no public address, and the search service takes nothing else")
        answer = await self._service.ask("POST", f"{self._url}/lens", json={"url": search.address})
        found = rows(answer, "organic")[: search.results]
        return tuple(await asyncio.gather(*(self._with_image(row, search.chars) for row in found)))

    async def _with_image(self, row: dict[str, Any], chars: int) -> Hit:
        named = (row.get("thumbnailUrl"), row.get("imageUrl"))
        urls = [url for url in named if isinstance(url, str) and url.startswith(("http://", "https://"))]
        found = hit(row.get("title"), row.get("link"), row.get("snippet"), chars)
        try:
            return msgspec.structs.replace(found, thumbnail=await self._thumbnails.fetch(urls))
        except NoImageError as error:
            return msgspec.structs.replace(found, problem=str(error))
