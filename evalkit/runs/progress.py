"""How far a run is: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from evalkit.errors import one_line
from evalkit.records import AGENT, Record, Verdict
from evalkit.runs.stored import Stored, stored_of

_PLAIN_EVERY_S = 15.0


class RunProgress:
    """Counts finished trajectories and shows done/total, errors, throughput and time left over all arms.

    Accuracy and tool rate are the agent arm's alone.
    """

    def __init__(self, console: Console, label: str, total: int) -> None:
        """Show progress of `total` trajectories; `label` names the run."""
        self.total = total
        self.done = self.fresh = self.scored = self.correct = self.called = self.errors = 0
        self._label = one_line(label, 60)
        self._console = console
        self._started = self._said = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> RunProgress:
        self._started = self._said = time.monotonic()
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[figures]}", markup=False),
                TimeRemainingColumn(),
                console=self._console,
                refresh_per_second=4,
            )
            self._task = self._bar.add_task(self._label, total=self.total, completed=self.done, figures="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self.fresh:
            self.say(self._line())

    def resume(self, there: Stored) -> None:
        """Count one that was there before; it does not enter the throughput."""
        self.done += 1
        self.errors += there.verdict.is_error
        if there.arm == AGENT:
            self.scored += not there.verdict.is_error
            self.correct += there.verdict is Verdict.CORRECT
            self.called += there.called

    def count(self, record: Record) -> None:
        """Count one trajectory that has just finished."""
        self.resume(stored_of(record))
        self.fresh += 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, figures=self._figures())
        elif time.monotonic() - self._said >= _PLAIN_EVERY_S:
            self.say(self._line())

    def say(self, line: str) -> None:
        """One line of text among the progress."""
        self._said = time.monotonic()
        self._console.print(one_line(line), markup=False, highlight=False)

    def _figures(self) -> str:
        rate = self.fresh / max(time.monotonic() - self._started, 1e-9)
        agents = ""
        if self.scored:
            agents = f"accuracy {self.correct / self.scored:.1%}  tool rate {self.called / self.scored:.1%}  "
        return f"{agents}errors {self.errors}  {rate:.1f}/s"

    def _line(self) -> str:
        rate = self.fresh / max(time.monotonic() - self._started, 1e-9)
        left = (self.total - self.done) / rate if rate else 0
        return f"{self._label}: {self.done}/{self.total}  {self._figures()}  {left:.0f} s left"
