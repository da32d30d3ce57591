"""Many run folders at once: what they are called, and how they are read by several processes."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from evalkit.runs.folder import SAMPLES

Job = TypeVar("Job")
Made = TypeVar("Made")

_WORTH_A_PROCESS = 100_000_000


def run_names(folders: Sequence[Path]) -> list[str]:
    """A name for each folder: its own, or its path where another folder has the same."""
    count = Counter(folder.resolve().name for folder in folders)
    return [folder.resolve().name if count[folder.resolve().name] == 1 else str(folder) for folder in folders]


def each(
    work: Callable[[Job], Made], jobs: Sequence[Job], folders: Sequence[Path], processes: int | None = None
) -> list[Made]:
    """What `work` makes of each job, in order; by several processes where the folders hold enough.

    Args:
        work: a function of a module, so that another process can find it.
        jobs: one per folder.
        folders: what is read.
        processes: readers; None for one per processor. With more than one, a script that calls this needs the usual
            `if __name__ == "__main__":`.
    """
    workers = min((os.cpu_count() or 1) if processes is None else processes, len(jobs))
    if workers < 2 or sum(map(_size, folders)) <= _WORTH_A_PROCESS:
        return [work(job) for job in jobs]
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # a run is hundreds of thousands of small objects without a cycle: looking for one takes a third of the time
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=gc.disable) as pool:
        return list(pool.map(work, jobs))


def _size(folder: Path) -> int:
    try:
        return (folder / SAMPLES).stat().st_size
    except OSError:
        return 0
