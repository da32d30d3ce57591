"""The rows of one run as short columns: what a list of trajectories shows and filters on."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.analysis.rollout import Rollout
from evalkit.records import AGENT, DIRECT
from evalkit.runs.folder import RunInfo

SECONDS = 3
"""Decimals of `RowIndex.seconds`."""
NOWHERE = -1
"""The offset of a line that there is not."""


class RowIndex(msgspec.Struct, frozen=True, kw_only=True):
    """One run's rows, in its order: the agent's first try each. All columns have the same length.

    The columns from `offsets` on are for the program that reads the run, and of no use in a page.

    Attributes:
        run: its name in this report; see `Entry.run`.
        task: the benchmark.
        folder: as the user names it.
        ids: of the samples.
        categories: the benchmark's main grouping; "" where it has none.
        verdicts: under the strict rule.
        right: under the rule asked for; None for an error, which has no score.
        calls: calls that ran; None where only the last response is known.
        seconds: wall time as run, in milliseconds' precision; None where nobody measured it.
        without: right without tools; None where there is no scored pair.
        offsets: byte of `samples.jsonl` at which the row's valid line begins.
        direct_offsets: the same of its trajectory without tools; -1 where there is none.
        clusters: rows with equal ones are not independent; the id where a sample stands alone.
        questions: checksum of question, options and reference answer: rows of two runs with equal ids and other
            checksums are not the same.
    """

    run: str
    task: str
    folder: str
    ids: list[str]
    categories: list[str]
    verdicts: list[str]
    right: list[bool | None]
    calls: list[int | None]
    seconds: list[float | None]
    without: list[bool | None]
    offsets: list[int]
    direct_offsets: list[int]
    clusters: list[str]
    questions: list[int]


def row_index(
    run: str, folder: Path, info: RunInfo, lines: Sequence[tuple[int, Any]], rollouts: Sequence[Rollout]
) -> RowIndex:
    """The index of a run that has been read.

    Args:
        run: its name in this report.
        folder: as the user names it.
        info: its `run.json`.
        lines: byte and record of each valid line, see `evalkit.runs.lines.latest_lines`.
        rollouts: of these records, in the same order.
    """
    direct = {one.id: (start, one) for (start, _), one in zip(lines, rollouts, strict=True) if _first(one, DIRECT)}
    rows = [(start, record, one) for (start, record), one in zip(lines, rollouts, strict=True) if _first(one, AGENT)]
    mine = [one for *_, one in rows]
    return RowIndex(
        run=run,
        task=str(info.config["task"]["name"]),
        folder=str(folder),
        ids=[one.id for one in mine],
        categories=[one.category for one in mine],
        verdicts=[str(record.outcome.verdict) for _, record, _ in rows],
        right=[None if one.error else one.right for one in mine],
        calls=[one.calls for one in mine],
        seconds=[None if one.seconds is None else round(one.seconds, SECONDS) for one in mine],
        without=[_without(one, direct) for one in mine],
        offsets=[start for start, *_ in rows],
        direct_offsets=[direct[one.id][0] if one.id in direct else NOWHERE for one in mine],
        clusters=[one.cluster for one in mine],
        questions=[_checksum(record.sample) for _, record, _ in rows],
    )


def _first(one: Rollout, arm: str) -> bool:
    return one.arm == arm and one.repeat == 0


def _without(agent: Rollout, direct: Mapping[str, tuple[int, Rollout]]) -> bool | None:
    """The pairs are those of `evalkit.analysis.pairs.pair_up`."""
    _, other = direct.get(agent.id, (NOWHERE, None))
    if other is None or other.error or agent.error or agent.calls is None:
        return None
    return other.right


def _checksum(sample: Any) -> int:
    parts = [sample.question, *(f"{letter} {text}" for letter, text in sample.choices.items()), sample.answer]
    return zlib.crc32("\0".join(parts).encode("utf-8", "surrogatepass"))
