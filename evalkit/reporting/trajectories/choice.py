"""Which trajectories a report holds: a fixed choice that shows each kind, the same samples in every run of a task."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from evalkit.records import Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evalkit.analysis.row_index import RowIndex

Wanted = Literal["all", "failures"] | int
ALL: Literal["all"] = "all"
FAILURES: Literal["failures"] = "failures"

_ERRORS = frozenset(str(verdict) for verdict in Verdict if verdict.is_error)


def choose(index: RowIndex, wanted: Wanted) -> list[int]:
    """The rows of one run by itself; see `choose_together`."""
    return choose_together([index], wanted)[0]


def choose_together(indexes: Sequence[RowIndex], wanted: Wanted) -> tuple[list[int], ...]:
    """The rows of each run whose trajectories go into a report.

    A number asks for so many per run, in an order in which every start is a fair choice: each next sample shows most
    of what the runs of its task have and those before it do not show enough of (wrong answers, errors, harms, gains,
    redundant calls, answers right with and without calls, samples that one run has right and another has not, each
    category). No seed: the same runs give the same choice. A run that lacks a sample gets one of its own in its place.

    Args:
        indexes: of all runs.
        wanted: "all", "failures" (not right in at least one run of the task, so that each can be read beside a run
            that has it right), or how many.
    """
    if wanted == ALL:
        return tuple(list(range(len(index.ids))) for index in indexes)
    tasks: dict[str, list[int]] = {}
    for place, index in enumerate(indexes):
        tasks.setdefault(index.task, []).append(place)
    found: list[list[int]] = [[] for _ in indexes]
    for places in tasks.values():
        mine = [indexes[place] for place in places]
        rows = _failures(mine) if wanted == FAILURES else _spread(mine, int(wanted))
        for place, chosen in zip(places, rows, strict=True):
            found[place] = chosen
    return tuple(found)


def _failures(runs: Sequence[RowIndex]) -> list[list[int]]:
    missed = {id for run in runs for id, right in zip(run.ids, run.right, strict=True) if not right}
    return [[row for row, id in enumerate(run.ids) if id in missed] for run in runs]


def _spread(runs: Sequence[RowIndex], most: int) -> list[list[int]]:
    ranked = _ranked(runs, most)
    found = []
    for run in runs:
        rows = {id: row for row, id in enumerate(run.ids)}
        chosen = [rows[id] for id in ranked if id in rows]
        short = min(most, len(rows)) - len(chosen)
        if short > 0 and len(runs) > 1:
            # a run that is not finished
            taken = set(chosen)
            chosen += [row for id in _ranked([run], most) if (row := rows[id]) not in taken][:short]
        found.append(chosen)
    return found


def _ranked(runs: Sequence[RowIndex], most: int) -> list[str]:
    """At most so many sample ids, the most telling first."""
    ids = sorted({id for run in runs for id in run.ids}, key=_order)
    place = {id: number for number, id in enumerate(ids)}
    shows = np.array(list(_features(runs, place)), dtype=np.float32)
    chosen: list[str] = []
    seen = np.zeros(len(shows), dtype=np.float32)
    free = np.ones(len(ids), dtype=bool)
    while len(chosen) < min(most, len(ids)):
        gain = (1 / (1 + seen) ** 2) @ shows
        best = int(np.argmax(np.where(free, gain, -1.0)))
        free[best] = False
        seen += shows[:, best]
        chosen.append(ids[best])
    return chosen


def _features(runs: Sequence[RowIndex], place: dict[str, int]) -> Iterator[NDArray[np.bool_]]:
    """For each thing worth showing, which samples show it."""
    ever_right, ever_wrong = np.zeros(len(place), dtype=bool), np.zeros(len(place), dtype=bool)
    named: dict[str, str] = {}
    for run in runs:
        at = np.array([place[id] for id in run.ids], dtype=np.intp)
        right = np.array([bool(value) for value in run.right], dtype=bool)
        error = np.array([str(verdict) in _ERRORS for verdict in run.verdicts], dtype=bool)
        called = np.array([bool(calls) for calls in run.calls], dtype=bool)
        solved = np.array([value is True for value in run.without], dtype=bool)
        unsolved = np.array([value is False for value in run.without], dtype=bool)
        scored, wrong = ~error, ~right & ~error
        ever_right[at[right]] = True
        ever_wrong[at[wrong]] = True
        for kind in (
            wrong & called,
            wrong & ~called,
            error,
            wrong & solved,
            right & unsolved,
            called & solved & scored,
            right & called,
            right & ~called,
        ):
            yield _spots(at[kind], len(place))
        named.update(zip(run.ids, run.categories, strict=True))
    if len(runs) > 1:
        yield ever_right & ever_wrong
    codes: dict[str, int] = {}
    categories = np.array([codes.setdefault(named[id], len(codes)) for id in place], dtype=np.intp)
    for code in codes.values():
        yield categories == code


def _spots(at: NDArray[np.intp], size: int) -> NDArray[np.bool_]:
    spots = np.zeros(size, dtype=bool)
    spots[at] = True
    return spots


def _order(id: str) -> tuple[bytes, str]:
    """An order that has nothing to do with the benchmark's own, in which neighbours are alike."""
    return hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), id
