"""What one break came to, and the file that keeps it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """One break to be made. The number and the plan's seed give everything that is drawn for it.

    Attributes:
        number: from 0.
        fault: name of it.
        seed: of what is drawn.
    """

    number: int
    fault: str
    seed: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a break came to.

    Attributes:
        number: of the break.
        fault: name of it.
        seed: of what was drawn.
        moment: share of the run that was through as drawn: below 0 while it starts, above 1 while it ends.
        drawn: what else was drawn, in words.
        rows_before: rows that the store held when it broke.
        exits: exit codes of the run and of every resume.
        lost: rows that are missing in the end, or were there when it broke and are not as they were.
        duplicated: rows with more than one line that is no error.
        errors: rows that were errors on the way and were run again.
        recovery_s: from the end of the cause until the next row was stored, or the run was through.
        seconds: the whole break.
        problems: every check that failed, in words.
        missed: the run was through before it could be broken.
        log: the end of what the runs said, where there is a problem.
    """

    number: int
    fault: str
    seed: int
    moment: float
    drawn: str = ""
    rows_before: int = 0
    exits: tuple[int, ...] = ()
    lost: int = 0
    duplicated: int = 0
    errors: int = 0
    recovery_s: float = 0.0
    seconds: float = 0.0
    problems: tuple[str, ...] = ()
    missed: bool = False
    log: str = ""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a file of results: which plan they belong to.

    Attributes:
        times: breaks in all.
        seed: of the plan.
        boards: of the run, four samples each.
        faults: that could be made on this machine, in the plan's order.
    """

    times: int
    seed: int
    boards: int
    faults: tuple[str, ...]


class Results:
    """A file of results, one a line, to which each break is added as it is through.

    Args:
        file: made where it is not there; else it is gone on with.
        head: the plan's.

    Raises:
        SystemExit: the file belongs to another plan.
    """

    def __init__(self, file: Path, head: Head) -> None:
        self.file = file
        self.done: dict[int, Result] = {}
        lines = file.read_bytes().split(b"\n") if file.is_file() else []
        whole = [line for line in lines[:-1] if line]
        if whole:
            earlier = msgspec.json.decode(whole[0], type=Head)
            if earlier != head:
                raise SystemExit(f"{file} has results of another plan ({earlier}); name another --results")
            for line in whole[1:]:
                result = msgspec.json.decode(line, type=Result)
                self.done[result.number] = result
        with file.open("wb") as out:
            out.write(b"".join(line + b"\n" for line in whole) or msgspec.json.encode(head) + b"\n")

    def add(self, result: Result) -> None:
        """Keep a result."""
        self.done[result.number] = result
        with self.file.open("ab") as out:
            out.write(msgspec.json.encode(result) + b"\n")
            out.flush()
            os.fsync(out.fileno())
