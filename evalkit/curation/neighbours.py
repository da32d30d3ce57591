"""Hashes within a few bits of one another, among many: multi-index hashing.

A hash of 256 bits is sixteen words of 16 bits. Where two differ in at most r bits, they differ in some word in at most
r // 16: so only hashes need be compared that have a word in common, or nearly. Nothing is missed.
Source: M. Norouzi, A. Punjani, D. J. Fleet, Fast Search in Hamming Space with Multi-Index Hashing (CVPR 2012).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from evalkit.curation.fingerprints import BITS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORD = 16
_WORDS = BITS // WORD
_AT_ONCE = 1 << 21
"""Pairs that are compared at a time: bounds the memory."""


class Near(NamedTuple):
    """Pairs of a query and a hash of the index, each once.

    Attributes:
        query: places among the queries.
        found: places among the hashes of the index.
        distance: bits in which they differ.
    """

    query: NDArray[np.int64]
    found: NDArray[np.int64]
    distance: NDArray[np.int64]


class Neighbours:
    """An index of hashes.

    Args:
        codes: 32 bytes each.
        radius: bits in which neighbours may differ.
    """

    def __init__(self, codes: Sequence[bytes], radius: int) -> None:
        import numpy as np

        self.radius = radius
        self._codes = _array(codes)
        words = self._codes.view(np.uint16)
        self._orders = [np.argsort(words[:, word], kind="stable") for word in range(_WORDS)]
        self._starts = [
            np.concatenate([[0], np.cumsum(np.bincount(words[:, word], minlength=1 << WORD))]) for word in range(_WORDS)
        ]
        self._flips = [
            sum(1 << bit for bit in bits)
            for count in range(radius // WORD + 1)
            for bits in combinations(range(WORD), count)
        ]

    def near(self, codes: Sequence[bytes]) -> Near:
        """All pairs of these hashes and those of the index that differ in at most `radius` bits."""
        import numpy as np

        queries = _array(codes)
        parts = [np.empty((0, 3), dtype=np.int64)]
        for word, query, found in self._candidates(queries):
            bits = np.bitwise_count((queries[query] ^ self._codes[found]).view(np.uint16))
            distance = bits.sum(axis=1, dtype=np.int64)
            # a pair that is near in several words counts at the first of them
            new = (distance <= self.radius) & ~(bits[:, :word] <= self.radius // WORD).any(axis=1)
            parts.append(np.stack([query[new], found[new], distance[new]], axis=1))
        pairs = np.concatenate(parts)
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        return Near(pairs[:, 0], pairs[:, 1], pairs[:, 2])

    def _candidates(self, queries: NDArray[np.uint64]) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """A word, and places of queries and of hashes that have it in common, or nearly; each pair once a word."""
        import numpy as np

        words = queries.view(np.uint16)
        for word, (order, starts) in enumerate(zip(self._orders, self._starts, strict=True)):
            for flip in self._flips:
                value = words[:, word] ^ np.uint16(flip)
                first = starts[value]
                counts = starts[value.astype(np.int64) + 1] - first
                for part in _slices(counts):
                    many = counts[part]
                    query = np.repeat(np.arange(part.start, part.stop), many)
                    within = np.arange(len(query)) - np.repeat(np.cumsum(many) - many, many)
                    yield word, query, order[np.repeat(first[part], many) + within]


def _array(codes: Sequence[bytes]) -> NDArray[np.uint64]:
    import numpy as np

    return np.frombuffer(b"".join(codes), dtype=np.uint64).reshape(-1, BITS // 64)


def _slices(counts: NDArray[np.int64]) -> Iterator[slice]:
    """Runs of queries with some `_AT_ONCE` candidates together; a single query is never cut."""
    import numpy as np

    total = np.cumsum(counts)
    start, done = 0, 0
    while start < len(counts) and total[-1] > done:
        stop = max(start + 1, int(np.searchsorted(total, done + _AT_ONCE, side="right")))
        yield slice(start, stop)
        start, done = stop, int(total[stop - 1])


def leaders(codes: Sequence[bytes], radius: int) -> list[int]:
    """For each hash the place of the one that stands for it: an earlier one within `radius` bits, or itself.

    Those that stand for themselves differ from one another in more than `radius` bits. Of several, the nearest stands
    for a hash, of equally near ones the first. A chain of small differences therefore does not make one group.
    """
    first: dict[bytes, int] = {}
    for place, code in enumerate(codes):
        first.setdefault(code, place)
    places = list(first.values())
    chosen: dict[int, int] = {}
    alone: list[int] = []
    for start in range(0, len(places), _BATCH):
        batch = places[start : start + _BATCH]
        found = _nearest(codes, alone, batch, radius)
        alone += _among_themselves(codes, batch, radius, found)
        chosen.update((place, leader) for place, (_, leader) in found.items())
    return [chosen[first[code]] for code in codes]


_BATCH = 2048
"""Hashes that are compared at a time with the leaders before them, and then with each other."""
_Found = dict[int, tuple[int, int]]
"""Place to the distance and the place of its leader."""


def _nearest(codes: Sequence[bytes], leaders: Sequence[int], places: Sequence[int], radius: int) -> _Found:
    near = Neighbours([codes[place] for place in leaders], radius).near([codes[place] for place in places])
    found: _Found = {}
    for query, leader, distance in zip(*(part.tolist() for part in near), strict=True):
        candidate = (distance, leaders[leader])
        found[places[query]] = min(found.get(places[query], candidate), candidate)
    return found


def _among_themselves(codes: Sequence[bytes], places: Sequence[int], radius: int, found: _Found) -> list[int]:
    """Give those a leader that have none yet; the new leaders."""
    rest = [place for place in places if place not in found]
    table = [codes[place] for place in rest]
    near = Neighbours(table, radius).near(table)
    earlier: dict[int, list[tuple[int, int]]] = {}
    for query, other, distance in zip(*(part.tolist() for part in near), strict=True):
        if other < query:
            earlier.setdefault(query, []).append((distance, other))
    new: set[int] = set()
    for row, place in enumerate(rest):
        distance, leader = min((one for one in earlier.get(row, ()) if one[1] in new), default=(0, row))
        found[place] = distance, rest[leader]
        if leader == row:
            new.add(row)
    return [rest[row] for row in sorted(new)]
