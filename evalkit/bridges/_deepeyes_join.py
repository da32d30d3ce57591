"""Samples of a DeepEyes log joined to the task's own rows.

What the model was shown stays as the log has it: the options' order there decides what a letter means.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from msgspec.structs import replace

from evalkit.bridges._deepeyes_log import Logged
from evalkit.errors import DataError, one_line
from evalkit.records import Sample


def by_id(samples: Sequence[Sample], rows: Sequence[Logged], data: Sequence[Sample]) -> list[Sample]:
    """Each row with the data's row of the same id.

    Raises:
        DataError: there is none, or it asks something else.
    """
    known = {sample.id: sample for sample in data}
    joined = []
    for sample, logged in zip(samples, rows, strict=True):
        own = known.get(sample.id)
        if own is None:
            example = f" (ids there: {one_line(data[0].id, 60)}, …)" if data else ""
            raise DataError(f"{logged.where}: the data set has no row {one_line(sample.id, 80)}{example}")
        if not _same(sample, logged, own):
            raise DataError(f"{logged.where} asks something else than row {own.id} of the data set")
        joined.append(_merged(sample, own))
    return joined


def by_content(samples: Sequence[Sample], rows: Sequence[Logged], data: Sequence[Sample]) -> list[Sample]:
    """Each row with the data's row that asks the same, each of them once and in order where several do.

    Raises:
        DataError: there is none.
    """
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, own in enumerate(data):
        places[_shown(own)].append(place)
    joined, last = [], -1
    for sample, logged in zip(samples, rows, strict=True):
        fitting = [place for place in places[_shown(sample)] if _same(sample, logged, data[place])]
        if not fitting:
            raise DataError(f"{logged.where}: no row of the data set asks this, or the log has it more than once")
        last = next((place for place in fitting if place > last), fitting[0])
        places[_shown(sample)].remove(last)
        joined.append(_merged(sample, data[last]))
    return joined


def _merged(sample: Sample, own: Sample) -> Sample:
    return replace(own, question=sample.question, choices=sample.choices, answer=sample.answer)


def _same(sample: Sample, logged: Logged, own: Sample) -> bool:
    """Whether both ask the same question, offer the same options in any order, and have the same right one."""
    asks = _plain(logged.row.question) in _plain(own.question)
    offers = sorted(map(_plain, sample.choices.values())) == sorted(map(_plain, own.choices.values()))
    return asks and offers and _plain(sample.choices[sample.answer]) == _plain(own.choices.get(own.answer, ""))


def _shown(sample: Sample) -> tuple[str, ...]:
    """The options in order, and the right one."""
    return (*(f"{letter} {_plain(text)}" for letter, text in sample.choices.items()), sample.answer)


def _plain(text: str) -> str:
    return " ".join(text.split())
