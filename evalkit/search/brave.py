"""The Brave Search API (api-dashboard.search.brave.com/docs)."""

from __future__ import annotations

import html
from typing import Any

from evalkit.search._http import Service, key_from, rows
from evalkit.search.base import Hit, Kind, Search, hit

_URL = "https://api.search.brave.com/res/v1/web/search"
_KEY = "BRAVE_API_KEY"
_MOST = 20
_QUERY_CHARS = 400


class BraveProvider:
    """Searches the web with the key in BRAVE_API_KEY.

    Args:
        url: of the API; a test has one of its own.

    Raises:
        EvalkitError: there is no key.
    """

    name = "brave"
    kinds = frozenset({Kind.TEXT})

    def __init__(self, url: str = _URL) -> None:
        key = key_from(_KEY, "brave")
        self._url = url
        self._service = Service(
            "Brave Search",
            refused=f"look at the key in {_KEY} and at its plan",
            headers={"X-Subscription-Token": key},
            secrets=(key,),
        )

    async def start(self) -> dict[str, Any]:
        """One search, which shows whether the key is good.

        Raises:
            EvalkitError: it is not, or the service cannot be reached.
        """
        await self._service.begin("GET", self._url, params=_params("test", 1))
        return {"kind": self.name}

    async def search(self, search: Search) -> tuple[Hit, ...]:
        """See `Provider.search`."""
        answer = await self._service.ask("GET", self._url, params=_params(search.query, search.results))
        return tuple(
            hit(_plain(row.get("title")), row.get("url"), _plain(row.get("description")), search.chars)
            for row in rows(answer, "web", "results")
        )[: search.results]

    async def close(self) -> None:
        """See `Provider.close`."""
        await self._service.close()


def _params(query: str, count: int) -> dict[str, str]:
    # marks around the words found would be HTML in the model's prompt
    return {"q": query[:_QUERY_CHARS], "count": str(min(count, _MOST)), "text_decorations": "0"}


def _plain(text: object) -> object:
    return html.unescape(text) if isinstance(text, str) else text
