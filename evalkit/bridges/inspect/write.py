"""A run folder as Inspect logs, one per arm, written row by row."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

from inspect_ai.log import condense_sample

from evalkit.bridges.inspect.head import Head, keys
from evalkit.bridges.inspect.installed import changed
from evalkit.bridges.inspect.pictures import Pictures, Scrapbook
from evalkit.bridges.inspect.rows import RowWriter
from evalkit.bridges.inspect.sums import Sums
from evalkit.errors import InfrastructureError, NothingEvaluatedError, one_line
from evalkit.records import AGENT, Record
from evalkit.runs.folder import RunInfo
from evalkit.runs.store import stream_latest

_FEWEST, _PART = 256, 8
_AHEAD = 8


class Written(NamedTuple):
    """One log.

    Attributes:
        file: where it is.
        arm: whose rows it has.
        rows: how many.
        missing: images that could not be read, by digest and why.
    """

    file: Path
    arm: str
    rows: int
    missing: dict[str, str]


def write_logs(folder: Path, info: RunInfo, out: Path, pictures: Pictures, version: str) -> Iterator[Written]:
    """Write a log per arm: the agent's under the name given, the others' beside it as `NAME.ARM.eval`.

    A log is written beside its place and moved there when it is whole. No more than some hundred rows, or an eighth
    of those written so far, are held.

    Args:
        folder: the run folder.
        info: its `run.json`.
        out: name of the agent's log, ending in `.eval`.
        pictures: which images go into it.
        version: of Inspect.

    Raises:
        DataError: a line of the run is corrupt.
        NothingEvaluatedError: it has none.
        InfrastructureError: a log cannot be written.
        EvalkitError: this release of Inspect is not as it was.
    """
    arms = keys(folder)
    if not arms:
        raise NothingEvaluatedError(f"{folder} has no finished trajectory")
    for arm, rows in arms.items():
        file = out if arm == AGENT else out.with_name(f"{out.stem}.{arm}.eval")
        part = file.with_name(f".{file.stem}.{os.getpid()}.eval")
        scrapbook = Scrapbook(pictures)
        records = (record for record in stream_latest(folder) if record.arm == arm)
        try:
            asyncio.run(_write(Head(info, arm, rows, pictures), _ahead(records, scrapbook), scrapbook, part))
            part.replace(file)
        except OSError as error:
            raise InfrastructureError(f"cannot write {file}: {error.strerror or one_line(error)}") from error
        except (ImportError, AttributeError, TypeError) as error:
            raise changed(version, error) from error
        finally:
            part.unlink(missing_ok=True)
        yield Written(file, arm, len(rows), scrapbook.missing)


def _ahead(records: Iterator[Record], scrapbook: Scrapbook) -> Iterator[Record]:
    """The records, with the images of those that come next made meanwhile."""
    waiting: deque[tuple[Record, Future[None]]] = deque()
    with ThreadPoolExecutor(1) as pool:
        for record in records:
            waiting.append((record, pool.submit(_make, record, scrapbook)))
            if len(waiting) > _AHEAD:
                yield _done(*waiting.popleft())
        while waiting:
            yield _done(*waiting.popleft())


def _make(record: Record, scrapbook: Scrapbook) -> None:
    for image in record.sample.images:
        scrapbook.uri(image)
    for turn in record.trajectory.turns:
        for seen in turn.observations:
            for image in seen.images:
                scrapbook.uri(image)


def _done(record: Record, made: Future[None]) -> Record:
    made.result()
    return record


async def _write(head: Head, records: Iterator[Record], scrapbook: Scrapbook, part: Path) -> None:
    # Inspect's public function takes all samples at once: a log of 8K images does not fit in memory
    from inspect_ai.log._recorders.eval import EvalRecorder

    spec, rows, sums, waiting = head.spec(), RowWriter(head.info, scrapbook), Sums(), 0
    recorder = EvalRecorder(str(part.parent))
    await recorder.log_init(spec, str(part), clean=True)
    try:
        await recorder.log_start(spec, head.plan())
        for record in records:
            sample = rows.sample(record)
            sums.add(record, sample)
            await recorder.log_sample(spec, condense_sample(sample))
            waiting += 1
            # each flush copies what is there so far: the more there is, the fewer there are
            if waiting >= max(_FEWEST, sums.rows // _PART):
                await recorder.flush(spec)
                waiting = 0
    except BaseException:
        await recorder.log_discard(spec)
        raise
    status: Literal["success", "cancelled"] = "success" if sums.rows >= head.rows else "cancelled"
    await recorder.log_finish(spec, status, sums.stats(), sums.results(head.rows * head.epochs), None)
