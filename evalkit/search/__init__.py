"""Search: what a model's search tools ask. `Provider` is the seam; every search goes through a `Searcher`."""

from evalkit.search.base import Hit, Kind, Provider, Search, SearchFailedError
from evalkit.search.fake import FakeProvider
from evalkit.search.line import SEARCHES, THUMBNAILS, Ended, Line
from evalkit.search.naming import FORMS, OPTIONS, provider_of
from evalkit.search.searcher import Recorder, Searcher

__all__ = [
    "FORMS",
    "OPTIONS",
    "SEARCHES",
    "THUMBNAILS",
    "Ended",
    "FakeProvider",
    "Hit",
    "Kind",
    "Line",
    "Provider",
    "Recorder",
    "Search",
    "SearchFailedError",
    "Searcher",
    "provider_of",
]
