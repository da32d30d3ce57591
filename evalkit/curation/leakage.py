"""Whether a data set holds what a benchmark asks: by image files, by how images look, and by the words of questions.

How a match is judged:

- An image file of the benchmark, or one that shows the same picture (hashes within 30 of 256 bits), also mirrored,
  leaks whatever is asked of it.
- A question leaks by its words alone if they are telling: 16 words or more besides the options, and asked of one
  picture only in the benchmark itself. "What colour is the car?" is asked of any picture by anybody, and so is what a
  benchmark asks of all its pictures by a template.
- Where pictures cannot speak for a row (it has none, or the benchmark's are not known), the same words are enough.
- Other equal wordings are counted and named, and do not leak.

Measured (`benchmarks/curation.py copies`): of photographs, boards of panel_probe and WeMath's figures, 99.5 % of the
copies or more as JPEG of quality 30 to 90, at half and a quarter of their size, as a square, in greys, and mirrored are
found; a fifth brighter, 99 %; with 1 % cut off at each side, 91 to 100 %; with 2 %, 8 to 50 %; with 5 %, or a border of
5 %, none: parts cut out of a picture are not found. Of copies of 812 small parts of photographs, many of them sky or
wall, 90 to 100 % are found. Of 4,500,000 pairs of different boards and 330,000 pairs of different parts of photographs
none lies within 30 bits; of 510,000 pairs of WeMath's figures 72 do, nearly all of them one figure with other labels.
V*Bench and HR-Bench 4K share five wordings of seven or eight words ("What is the color of the car?"), and no other two
of V*Bench, HR-Bench, MathVista and WeMath share any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import islice

import msgspec

from evalkit.curation.benchmarks import Benchmarks, Coverage, Picture
from evalkit.curation.fingerprints import BITS
from evalkit.curation.images import Look
from evalkit.curation.neighbours import Neighbours
from evalkit.curation.report import Table
from evalkit.curation.wording import WordIndex, words

RADIUS = 30
"""Bits of 256 in which the hash of an image may differ from that of a benchmark's picture which it is taken for: more
than `duplicates.RADIUS`, since a row too many that is lost costs less than one that leaks."""
TELLING = 16
"""Words of a question, its options left out, from which on they tell by themselves what is asked."""
STANDING = 6
"""Words of a question from which on it is the same question if it stands in a longer text: fewer stand in many."""
_AT_ONCE = 4096


class Evidence(StrEnum):
    """What a row shares with a benchmark."""

    FILE = "image_file"
    PICTURE = "same_picture"
    MIRRORED = "mirrored_picture"
    QUESTION = "question_text"
    WORDING = "wording_only"
    """The words of a question that is asked of another picture, and that anybody might ask: no leak."""


class Match(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of a benchmark a row matches.

    Attributes:
        evidence: see `Evidence`.
        task: name of the benchmark.
        row: id of its first row with that picture, or question.
        distance: bits of 256 in which the hashes differ, for pictures.
        share: part of the benchmark's question that stands in the row's text, for questions.
    """

    evidence: Evidence
    task: str
    row: str
    distance: int | None = None
    share: float | None = None

    @property
    def leaks(self) -> bool:
        """Whether the row may not be trained on."""
        return self.evidence is not Evidence.WORDING

    @property
    def closeness(self) -> str:
        """How near they are, in words; empty for equal files."""
        if self.distance is not None:
            return f" ({self.distance} of {BITS} bits differ)"
        return "" if self.share is None else f" ({self.share:.0%} of its word sequences)"

    def __str__(self) -> str:
        return f"{self.evidence.value}: {self.task} {self.row}{self.closeness}"


class Item(msgspec.Struct, frozen=True):
    """A row of a data set.

    Attributes:
        id: names it.
        text: what is asked.
        looks: at its images, those with flaws included.
    """

    id: str
    text: str
    looks: tuple[Look, ...] = ()


class Leakage(msgspec.Struct, frozen=True, kw_only=True):
    """What a data set shares with benchmarks.

    Attributes:
        rows: of the data set.
        leaking: of them, those that leak.
        without_image: rows that have no image, or none that can be read.
        without_text: rows that ask nothing in words.
        matches: (row's id, match), in order; at most one picture and one question a row.
        coverage: of the benchmarks.
    """

    rows: int
    leaking: int
    without_image: int
    without_text: int
    matches: tuple[tuple[str, Match], ...]
    coverage: tuple[Coverage, ...]

    def tables(self, most: int = 50) -> tuple[Table, ...]:
        """The figures for a report.

        Args:
            most: matches that are named in each table.
        """
        counts = Counter((match.task, match.evidence) for _, match in self.matches)
        kinds = list(Evidence)
        by_task: list[tuple[str | int | float, ...]] = [
            (c.task, c.source, c.rows, c.pictures, c.unreadable, *(counts[c.task, kind] for kind in kinds))
            for c in self.coverage
        ]
        tables = [
            Table(
                title="Overlap with benchmarks",
                head=("benchmark", "data", "rows", "pictures", "unreadable", *(kind.value for kind in kinds)),
                rows=tuple(by_task),
                note=f"{self.leaking:,} of {self.rows:,} rows leak; {self.without_image:,} rows have no image that "
                f"could be compared, {self.without_text:,} no text. A row can match by its picture and by its "
                "question; wording_only is no leak.",
            )
        ]
        leaks = [
            (row, match.task, match.row, f"{match.evidence.value}{match.closeness}")
            for row, match in self.matches
            if match.leaks
        ]
        if leaks:
            title = "Rows that leak" if len(leaks) <= most else f"Rows that leak, the first {most} of {len(leaks):,}"
            tables.append(Table(title=title, head=("row", "benchmark", "its row", "match"), rows=tuple(leaks[:most])))
        worded = Counter((match.task, match.row) for _, match in self.matches if not match.leaks)
        if worded:
            often = [(task, row, count) for (task, row), count in worded.most_common(most)]
            title = "Wordings that benchmarks have too, asked of other pictures"
            tables.append(Table(title=title, head=("benchmark", "its row", "rows"), rows=tuple(often)))
        return tuple(tables)


class Detector:
    """Finds what benchmarks and rows share.

    Args:
        benchmarks: read already.
    """

    def __init__(self, benchmarks: Benchmarks) -> None:
        self.benchmarks = benchmarks
        self._files: dict[str, Picture] = {}
        for picture in benchmarks.pictures:
            self._files.setdefault(picture.look.sha256, picture)
        self._hashed = [picture for picture in benchmarks.pictures if picture.look.fingerprint is not None]
        codes = [picture.look.fingerprint.code for picture in self._hashed if picture.look.fingerprint]
        self._neighbours = Neighbours(codes, RADIUS)
        self._wordings = WordIndex([question.words for question in benchmarks.questions])

    def matches(self, items: Sequence[Item]) -> Iterator[list[Match]]:
        """What each item matches, in order: the closest picture, and the closest question."""
        for start in range(0, len(items), _AT_ONCE):
            batch = items[start : start + _AT_ONCE]
            for item, picture in zip(batch, self._pictures(batch), strict=True):
                question = self._question(item)
                if picture and question and not question.leaks:
                    # a row that leaks by its picture says nothing new by a wording
                    question = None
                yield [match for match in (picture, question) if match is not None]

    def _pictures(self, items: Sequence[Item]) -> list[Match | None]:
        found: list[list[Match]] = [[] for _ in items]
        owners: list[tuple[int, Evidence]] = []
        codes: list[bytes] = []
        for place, item in enumerate(items):
            for look in item.looks:
                if look.sha256 in self._files:
                    picture = self._files[look.sha256]
                    found[place].append(Match(evidence=Evidence.FILE, task=picture.task, row=picture.row))
                elif look.fingerprint is not None:
                    owners += [(place, Evidence.PICTURE), (place, Evidence.MIRRORED)]
                    codes += look.fingerprint
        near = self._neighbours.near(codes)
        for query, there, distance in zip(*(part.tolist() for part in near), strict=True):
            (place, evidence), picture = owners[query], self._hashed[there]
            found[place].append(Match(evidence=evidence, task=picture.task, row=picture.row, distance=distance))
        return [min(matches, key=_closeness, default=None) for matches in found]

    def _question(self, item: Item) -> Match | None:
        worded = self._wordings.find(words(item.text))
        pictured = any(look.flaw is None for look in item.looks)
        matches = []
        for one in worded:
            question = self.benchmarks.questions[one.question]
            telling = len(question.words) >= TELLING and question.problems == 1
            same = one.equal or (one.share == 1 and len(question.words) >= STANDING)
            mute = not (pictured and question.seen)
            if telling or (same and mute):
                evidence = Evidence.QUESTION
            elif same:
                evidence = Evidence.WORDING
            else:
                continue
            matches.append(Match(evidence=evidence, task=question.task, row=question.row, share=one.share))
        return next((match for match in matches if match.leaks), matches[0] if matches else None)


def _closeness(match: Match) -> tuple[int, int]:
    return list(Evidence).index(match.evidence), match.distance or 0


def leakage(items: Iterable[Item], benchmarks: Benchmarks) -> Leakage:
    """What a data set shares with benchmarks.

    Args:
        items: read one at a time.
        benchmarks: see `evalkit.curation.benchmarks.read_benchmarks`.
    """
    detector, pending = Detector(benchmarks), iter(items)

    def found() -> Iterator[tuple[Item, list[Match]]]:
        while batch := list(islice(pending, _AT_ONCE)):
            yield from zip(batch, detector.matches(batch), strict=True)

    return summed(found(), benchmarks.coverage)


def summed(found: Iterable[tuple[Item, Sequence[Match]]], coverage: tuple[Coverage, ...]) -> Leakage:
    """The figures of items and their matches.

    Args:
        found: items with what the detector found.
        coverage: of its benchmarks.
    """
    rows = leaking = without = mute = 0
    matches: list[tuple[str, Match]] = []
    for item, of in found:
        rows += 1
        leaking += any(match.leaks for match in of)
        without += all(look.flaw is not None for look in item.looks)
        mute += not words(item.text)
        matches += [(item.id, match) for match in of]
    return Leakage(
        rows=rows,
        leaking=leaking,
        without_image=without,
        without_text=mute,
        matches=tuple(matches),
        coverage=coverage,
    )
