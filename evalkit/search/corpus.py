"""A local folder of documents, searched by BM25 (bm25s): no network, and the same results every time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from evalkit.errors import EvalkitError
from evalkit.search._documents import Document, read_documents
from evalkit.search._passage import WORD, passage, words
from evalkit.search.base import Hit, Kind, Search, hit

VERSION = 1
"""Raised when the same folder and query can give other results."""
_METHOD, _K1, _B = "lucene", 1.5, 0.75


class CorpusProvider:
    """Searches the documents under a folder, see `read_documents`.

    Results go by falling score, equal ones by the documents' order; a document without any word of the query is
    none. The text of a result is the passage with most of the query's words.

    Args:
        folder: of documents.

    Raises:
        EvalkitError: it is no folder.
    """

    name = "corpus"
    kinds = frozenset({Kind.TEXT})

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise EvalkitError(f"--search corpus: {folder} is no folder")
        self._folder = folder
        self._documents: list[Document] = []
        self._index: Any = None

    async def start(self) -> dict[str, Any]:
        """Read and index the documents.

        Returns:
            kind, version, fingerprint of the documents, and their number.

        Raises:
            EvalkitError: there are none, or one cannot be read.
        """
        self._documents, fingerprint = await asyncio.to_thread(read_documents, self._folder)
        self._index = await asyncio.to_thread(_indexed, self._documents, self._folder)
        method = f"bm25 {_METHOD} k1={_K1:g} b={_B:g}"
        return {
            "kind": self.name,
            "version": VERSION,
            "method": method,
            "fingerprint": fingerprint,
            "documents": len(self._documents),
        }

    async def search(self, search: Search) -> tuple[Hit, ...]:
        """See `Provider.search`; it does not fail."""
        return await asyncio.to_thread(self._search, search)

    async def close(self) -> None:
        """There is nothing to free."""

    def _search(self, search: Search) -> tuple[Hit, ...]:
        import numpy as np

        assert self._index is not None, "start() comes first"
        asked = words(search.query)
        if not asked:
            return ()
        scores = self._index.get_scores(asked)
        found = np.flatnonzero(scores > 0)
        best = found[np.argsort(-scores[found], kind="stable")][: search.results]
        documents = (self._documents[place] for place in best)
        return tuple(hit(d.title, d.url, passage(d.text, asked, search.chars), search.chars) for d in documents)


def _indexed(documents: list[Document], folder: Path) -> Any:
    import bm25s

    texts = [f"{document.title}\n{document.text}" for document in documents]
    tokens = bm25s.tokenize(texts, token_pattern=WORD, stopwords=None, show_progress=False)
    if not any(map(len, tokens.ids)):
        raise EvalkitError(f"--search corpus: the documents in {folder} have no words")
    index = bm25s.BM25(method=_METHOD, k1=_K1, b=_B)
    index.index(tokens, show_progress=False)
    return index
