"""A SearXNG instance, through its JSON API (docs.searxng.org/dev/search_api)."""

from __future__ import annotations

from typing import Any

from yarl import URL

from evalkit.errors import EvalkitError, one_line
from evalkit.search._http import Service, rows
from evalkit.search.base import Hit, Kind, Search, SearchFailedError, hit

_REFUSED = "JSON is not among its formats (search.formats in its settings.yml), or it wants other credentials"


class SearxngProvider:
    """Searches the instance at an address that the user names; it may be on this machine.

    Args:
        base_url: of the instance.
        timeout_s: of each try.
        backoff_s: upper end of the first wait between tries.

    Raises:
        EvalkitError: it is no http(s) address.
    """

    name = "searxng"
    kinds = frozenset({Kind.TEXT})

    def __init__(self, base_url: str, *, timeout_s: float = 20.0, backoff_s: float = 1.0) -> None:
        try:
            read = URL(base_url)
        except (ValueError, TypeError):
            read = URL()
        if read.scheme not in ("http", "https") or not read.host:
            raise EvalkitError(f"--search searxng: {one_line(base_url, 80)!r} is no http(s) address")
        self._url = str(read.with_query(None).with_fragment(None) / "search")
        secrets = (read.password or "", read.raw_password or "")
        where = str(read.with_user(None).with_query(None))
        name = f"SearXNG at {one_line(where, 100)}"
        self._service = Service(name, refused=_REFUSED, secrets=secrets, timeout_s=timeout_s, backoff_s=backoff_s)

    async def start(self) -> dict[str, Any]:
        """One search, which shows whether it answers in JSON.

        Raises:
            EvalkitError: it does not.
        """
        await self._service.begin("GET", self._url, params=_params("test"))
        return {"kind": self.name}

    async def search(self, search: Search) -> tuple[Hit, ...]:
        """See `Provider.search`."""
        answer = await self._service.ask("GET", self._url, params=_params(search.query))
        found = rows(answer, "results")
        silent = answer.get("unresponsive_engines")
        if not found and silent:
            # an instance whose engines have all failed answers like one that has found nothing
            engines = one_line("; ".join(map(_engine, silent)) if isinstance(silent, list) else silent, 200)
            raise SearchFailedError(self._service.said(f"none of its engines answered: {engines}"))
        hits = (hit(row.get("title"), row.get("url"), row.get("content"), search.chars) for row in found)
        return tuple(hits)[: search.results]

    async def close(self) -> None:
        """See `Provider.close`."""
        await self._service.close()


def _params(query: str) -> dict[str, str]:
    return {"q": query, "format": "json"}


def _engine(entry: object) -> str:
    return ": ".join(map(str, entry)) if isinstance(entry, list) else str(entry)
