"""Recorded trajectories to learn from: which of a run's are taken, and why the others are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.errors import DataError, NothingEvaluatedError, one_line
from evalkit.records import AGENT, Record, Rule
from evalkit.runs.find import run_folders
from evalkit.runs.folder import RunInfo, read_info
from evalkit.runs.store import images_of, latest_records


@dataclass(frozen=True)
class Recorded:
    """The trajectories of one run.

    Attributes:
        folder: the run's.
        info: its `run.json`.
        records: those taken.
        left_out: reason to how many.
    """

    folder: Path
    info: RunInfo
    records: list[Record]
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def summary(self) -> str:
        """How many are taken, and why the others are not."""
        rest = said(self.left_out)
        return f"{len(self.records)} trajectories to learn from" + (f"; left out: {rest}" if rest else "")


def read_runs(named: Sequence[Path], *, right_only: bool = True, rule: Rule = Rule.STRICT) -> list[Recorded]:
    """The trajectories of runs that may be learned from.

    Args:
        named: run folders, or folders of them.
        right_only: leave out those whose answer is not right.
        rule: whose verdict says so.

    Raises:
        DataError: a folder is no run, or an image of a trajectory that is taken is gone.
        NothingEvaluatedError: nothing is left.
    """
    runs = []
    for folder in run_folders(named):
        info, left_out = read_info(folder), Counter[str]()
        taken = []
        for record in latest_records(folder).values():
            why = _unfit(record, right_only, rule)
            if why:
                left_out[why] += 1
            else:
                taken.append(record)
        check_images(taken, str(folder))
        runs.append(Recorded(folder, info, taken, left_out))
    if not any(run.records for run in runs):
        why = said(sum((run.left_out for run in runs), Counter())) or "the runs are empty"
        raise NothingEvaluatedError(f"no trajectory to learn from in {', '.join(map(str, named))}: {why}")
    return runs


def check_images(records: Iterable[Record], where: str) -> None:
    """Refuse trajectories whose images are no longer there.

    Raises:
        DataError: how many images are gone, and the first of them.
    """
    gone = {image.path for record in records for image in images_of(record) if image.path and not image.path.is_file()}
    if gone:
        raise DataError(
            f"{where}: {len(gone)} images of its trajectories are gone, the first {min(gone)}; "
            "put them back, or name another run"
        )


def said(reasons: Counter[str]) -> str:
    """The reasons with their counts, in a few words."""
    return ", ".join(f"{count} {one_line(why, 80)}" for why, count in reasons.most_common())


def _unfit(record: Record, right_only: bool, rule: Rule) -> str:
    if record.arm != AGENT:
        return f"of the arm {record.arm}"
    if record.outcome.verdict.is_error:
        return "errors"
    if record.trajectory.partial:
        return "known in part alone"
    if right_only and not record.outcome.right(rule):
        return "not right"
    return "" if record.trajectory.turns else "without a turn"
