"""From what a user writes after `--search` and `--image-search` to a provider."""

from __future__ import annotations

from pathlib import Path

from evalkit.errors import EvalkitError, one_line, unknown
from evalkit.search.base import Kind, Provider

FORMS = {
    Kind.TEXT: ("corpus:DIR", "searxng:URL", "serper", "brave", "tavily", "recorded:RUN"),
    Kind.IMAGE: ("cache:FILE", "serper", "recorded:RUN"),
}
OPTIONS = {Kind.TEXT: "--search", Kind.IMAGE: "--image-search"}


def provider_of(kind: Kind, text: str) -> Provider:
    """The provider that `text` names, not started yet.

    Raises:
        EvalkitError: there is none of that name for this kind of search, or what it needs is missing.
    """
    name, colon, place = text.partition(":")
    forms = {form.partition(":")[0]: form for form in FORMS[kind]}
    if name not in forms:
        raise unknown(f"provider for {OPTIONS[kind]}", name, FORMS[kind], "evalkit run --help")
    if bool(place) != (":" in forms[name]) or (colon and not place):
        raise EvalkitError(f"{OPTIONS[kind]} {one_line(text, 80)}: it is written {forms[name]}")
    if name == "corpus":
        from evalkit.search.corpus import CorpusProvider

        return CorpusProvider(Path(place))
    if name == "searxng":
        from evalkit.search.searxng import SearxngProvider

        return SearxngProvider(place)
    if name == "serper":
        from evalkit.search.serper import SerperProvider

        return SerperProvider()
    if name == "brave":
        from evalkit.search.brave import BraveProvider

        return BraveProvider()
    if name == "tavily":
        from evalkit.search.tavily import TavilyProvider

        return TavilyProvider()
    if name == "cache":
        from evalkit.search.image_cache import ImageCacheProvider

        return ImageCacheProvider(Path(place))
    from evalkit.search.recorded import RecordedProvider

    return RecordedProvider(Path(place))
