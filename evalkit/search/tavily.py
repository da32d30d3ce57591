"""The Tavily Search API (docs.tavily.com/api-reference)."""

from __future__ import annotations

from typing import Any

from evalkit.search._http import Service, key_from, rows
from evalkit.search.base import Hit, Kind, Search, hit

_URL = "https://api.tavily.com/search"
_KEY = "TAVILY_API_KEY"
_MOST = 20


class TavilyProvider:
    """Searches the web with the key in TAVILY_API_KEY; the API's own answer is not asked for.

    Args:
        url: of the API; a test has one of its own.

    Raises:
        EvalkitError: there is no key.
    """

    name = "tavily"
    kinds = frozenset({Kind.TEXT})

    def __init__(self, url: str = _URL) -> None:
        key = key_from(_KEY, "tavily")
        self._url = url
        self._service = Service(
            "Tavily",
            refused=f"look at the key in {_KEY} and at its plan",
            headers={"Authorization": f"Bearer {key}"},
            secrets=(key,),
        )

    async def start(self) -> dict[str, Any]:
        """One search, which shows whether the key is good.

        Raises:
            EvalkitError: it is not, or the service cannot be reached.
        """
        await self._service.begin("POST", self._url, json=_body("test", 1))
        return {"kind": self.name}

    async def search(self, search: Search) -> tuple[Hit, ...]:
        """See `Provider.search`."""
        answer = await self._service.ask("POST", self._url, json=_body(search.query, search.results))
        found = (
            hit(row.get("title"), row.get("url"), row.get("content"), search.chars) for row in rows(answer, "results")
        )
        return tuple(found)[: search.results]

    async def close(self) -> None:
        """See `Provider.close`."""
        await self._service.close()


def _body(query: str, results: int) -> dict[str, Any]:
    return {"query": query, "max_results": min(results, _MOST), "search_depth": "basic", "include_answer": False}
