"""The text search tool: a query to results with title, address and text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from evalkit.errors import one_line
from evalkit.records import CallStatus, Sample
from evalkit.search import Hit, Kind, Search, Searcher, SearchFailedError
from evalkit.tools.base import ToolResult, ToolSpec
from evalkit.tools.search_sizes import SearchSizes

TEXT_SEARCH = "text_search"
MAX_QUERY = 2_000
"""Characters of a query."""

_DESCRIPTION = "Search for a text; titles, addresses and passages of the best results come back."
_PARAMETERS = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "What to search for."}},
    "required": ["query"],
}


class TextSearchTool:
    """Searches for a text.

    Args:
        searcher: started and closed by whoever made it.
        sizes: what the family is shown.
    """

    def __init__(self, searcher: Searcher, sizes: SearchSizes) -> None:
        self._searcher = searcher
        self._sizes = sizes

    @property
    def spec(self) -> ToolSpec:
        """One argument: `query`."""
        return ToolSpec(name=TEXT_SEARCH, description=_DESCRIPTION, parameters=_PARAMETERS)

    async def open(self, sample: Sample, names: Mapping[str, str]) -> TextSearchSession:
        """A session for one trajectory; there is nothing to start."""
        return TextSearchSession(self._searcher, self._sizes, sample)


class TextSearchSession:
    """The text search in the hands of one trajectory."""

    def __init__(self, searcher: Searcher, sizes: SearchSizes, sample: Sample) -> None:
        self._searcher = searcher
        self._sizes = sizes
        self._sample = sample
        self._chain = ""

    async def call(self, arguments: dict[str, Any]) -> ToolResult:
        """Search for `arguments["query"]`; of a list, its first element is searched for.

        Raises:
            SandboxError: no search can be had any more, whatever the query.
        """
        query = arguments.get("query")
        if isinstance(query, list) and query:
            query = query[0]
        if problem := _problem(query, arguments):
            return ToolResult(status=CallStatus.MALFORMED, error=problem)
        search = Search(
            kind=Kind.TEXT,
            sample=self._sample.id,
            query=str(query).strip(),
            results=self._sizes.results,
            chars=self._sizes.chars,
        ).after(self._chain)
        self._chain = search.chain
        return await found(self._searcher, search, _text)

    async def close(self) -> None:
        """There is nothing to free."""


def _text(search: Search, hits: tuple[Hit, ...]) -> str:
    """The query, how many results there are, and each."""
    head = f"A search for '{one_line(search.query, MAX_QUERY)}' found {_count(hits)}"
    return "\n\n".join([head, *(_entry(place, one) for place, one in enumerate(hits, 1))])


async def found(searcher: Searcher, search: Search, words: Callable[[Search, tuple[Hit, ...]], str]) -> ToolResult:
    """The result of a search, in the words that `words` gives for its hits.

    Raises:
        SandboxError: no search can be had any more.
    """
    try:
        hits = await searcher.search(search)
    except SearchFailedError as error:
        status = CallStatus.TIMEOUT if error.timeout else CallStatus.FAILED
        return ToolResult(status=status, error=f"The search failed: {error}")
    images = tuple(one.thumbnail for one in hits if one.thumbnail is not None)
    return ToolResult(status=CallStatus.OK, text=words(search, hits), images=images)


def _problem(query: object, arguments: dict[str, Any]) -> str:
    """Why the arguments do not fit; empty when they do."""
    if "query" not in arguments:
        return "The argument 'query' is missing."
    if not isinstance(query, str):
        return f"The argument 'query' must be a string, not {type(query).__name__}."
    if not query.strip():
        return "The argument 'query' is empty."
    if len(query) > MAX_QUERY:
        return f"The argument 'query' has {len(query):,} characters; {MAX_QUERY:,} are allowed."
    return ""


def _count(hits: tuple[Hit, ...]) -> str:
    if not hits:
        return "no results."
    return f"{len(hits)} result{'s' if len(hits) > 1 else ''}:"


def _entry(place: int, one: Hit) -> str:
    head = f"{place}. {heading(one)}"
    return f"{head}\n{one.text}" if one.text else head


def heading(one: Hit) -> str:
    """Title and address of a result."""
    return f"[{one.title or 'untitled'}]({one.url})" if one.url else f"[{one.title or 'untitled'}]"
