"""The command: makes the breaks that are still due, then the table."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from tests.faults.harness.breaking import Setting, make_break, undisturbed
from tests.faults.harness.faults import every
from tests.faults.harness.processes import begin_worker
from tests.faults.harness.result import Break, Head, Results
from tests.faults.harness.table import put_into, table


def plan(head: Head) -> list[Break]:
    """Every break: each fault in turn, so that a plan that is cut off has all of them."""
    rng = random.Random(head.seed)
    names = [head.faults[number % len(head.faults)] for number in range(head.times)]
    return [Break(number=number, fault=name, seed=rng.randrange(2**31)) for number, name in enumerate(names)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Make what is due; 1 where a check failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.harness", description=__doc__)
    parser.add_argument("--times", type=int, default=220, help="breaks in all")
    parser.add_argument("--results", type=Path, required=True, help="file of results; gone on with where it is there")
    parser.add_argument("--out", type=Path, help="document into which the table goes")
    parser.add_argument("--workers", type=int, default=2, help="breaks at a time")
    parser.add_argument("--boards", type=int, default=125, help="of the run, four samples each")
    parser.add_argument("--seed", type=int, default=12, help="of the plan")
    parser.add_argument("--only", action="append", help="only faults with this in their name (repeatable)")
    asked = parser.parse_args(arguments)
    faults = [fault for fault in every() if not asked.only or any(word in fault.name for word in asked.only)]
    why_not = {fault.name: why for fault in faults if (why := fault.why_not())}
    names = tuple(fault.name for fault in faults if fault.name not in why_not)
    head = Head(times=asked.times, seed=asked.seed, boards=asked.boards, faults=names)
    results = Results(asked.results, head)
    due = [each for each in plan(head) if each.number not in results.done]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="evalkit-faults-", ignore_cleanup_errors=True) as scratch:
        kinds = {fault.served for fault in faults} if due else set()
        calm = {served: undisturbed(asked.boards, served, Path(scratch)) for served in kinds}
        setting = Setting(asked.boards, Path(scratch), calm)
        # a worker is the parent of all that loses its own: what a break leaves behind can be seen there
        with ProcessPoolExecutor(asked.workers, get_context("spawn"), begin_worker) as pool:
            for done in as_completed([pool.submit(make_break, each, setting) for each in due]):
                result = done.result()
                results.add(result)
                said = "; ".join(result.problems) or ("missed" if result.missed else "well")
                print(f"{len(results.done)}/{head.times} {result.fault} at {result.moment:.2f}: {said}", flush=True)
    found = [results.done[number] for number in sorted(results.done)]
    failed = [result for result in found if result.problems]
    print(f"{len(found)} breaks, {len(due)} now in {time.monotonic() - began:.0f} s; {len(failed)} with failed checks")
    if asked.out:
        put_into(asked.out, table(head, found, why_not))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
