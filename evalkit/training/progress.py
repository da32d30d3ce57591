"""How far a training is: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from evalkit.errors import one_line
from evalkit.training.figures import Part, StepFigures

_PLAIN_EVERY_S = 15.0
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 32
_SMOOTH = 8


class TrainProgress:
    """Shows a training's figures as it goes on.

    Args:
        console: where to.
        label: names the training.
        steps: there are to be in all.
        earlier: steps of earlier starts.
    """

    def __init__(self, console: Console, label: str, steps: int, earlier: Sequence[StepFigures] = ()) -> None:
        self._console = console
        self._label = one_line(label, 60)
        self._steps = steps
        self._seen: deque[StepFigures] = deque(earlier, maxlen=4 * _WIDTH)
        self._told = len(earlier)
        self._begun = False
        self._said = time.monotonic()
        self._live: Live | None = None
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}", markup=False),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task(self._label, total=steps, completed=len(earlier), speed="")
        self._blocks = "█" if (console.encoding or "").lower().startswith("utf") else ""

    def __enter__(self) -> TrainProgress:
        self._said = time.monotonic()
        if self._console.is_terminal:
            self._live = Live(self._screen(), console=self._console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.update(self._screen())
            self._live.stop()
        elif self._seen and self._seen[-1].step != self._told:
            self._say(self._seen[-1])

    def add(self, figures: StepFigures) -> None:
        """Show one more step."""
        first, self._begun = not self._begun, True
        self._seen.append(figures)
        seconds = figures.rollout_s + figures.update_s
        speed = f"{seconds:.1f} s a step" if seconds >= 1 else f"{1 / max(seconds, 1e-9):.1f} steps a second"
        self._bar.update(self._task, completed=figures.step, speed=speed)
        if self._live is not None:
            self._live.update(self._screen())
        elif first or time.monotonic() - self._said >= _PLAIN_EVERY_S:
            self._say(figures)

    def _say(self, figures: StepFigures) -> None:
        self._said, self._told = time.monotonic(), figures.step
        self._console.print(step_line(figures, self._steps), markup=False, highlight=False, soft_wrap=True)

    def _screen(self) -> Group:
        if not self._seen:
            return Group(self._bar)
        now = self._seen[-1]
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=now.overall is not None)
        for name in ("", "accuracy", "", "tool rate", "", "calls"):
            table.add_column(name, justify="left" if not name else "right", no_wrap=True)
        for name in sorted({name for figures in self._seen for name in figures.categories}):
            table.add_row(*self._row(name or "(no category)", [f.categories.get(name) for f in self._seen]))
        if now.overall is not None and len(now.categories) != 1:
            table.add_row(*self._row("all", [f.overall for f in self._seen]))
        return Group(self._bar, table, Text(_small(now), style="dim"))

    def _row(self, name: str, figures: Sequence[Part | None]) -> list[str | Text]:
        parts = [part for part in figures if part]
        accuracy, rate, calls = ([getattr(p, f) for p in parts] for f in ("accuracy", "tool_rate", "calls"))
        return [
            Text(one_line(name, 32)),
            f"{_recent(accuracy):.1%}",
            Text(self._trend(accuracy), style="green"),
            f"{_recent(rate):.1%}",
            Text(self._trend(rate), style="cyan"),
            f"{_recent(calls):.2f}",
        ]

    def _trend(self, values: Sequence[float]) -> str:
        """Shares from 0 to 1 as a row of bars, the newest on the right."""
        if not self._blocks or len(values) < 2:
            return ""
        size = -(-len(values) // _WIDTH)
        means = [sum(values[i : i + size]) / len(values[i : i + size]) for i in range(0, len(values), size)]
        return "".join(_BARS[min(int(mean * len(_BARS)), len(_BARS) - 1)] for mean in means)


def step_line(figures: StepFigures, steps: int) -> str:
    """A step's figures on one line."""
    words = [f"step {figures.step}/{steps}"]
    if figures.overall is not None:
        words.append(f"accuracy {figures.overall.accuracy:.1%}  tool rate {figures.overall.tool_rate:.1%}")
    if len(figures.categories) > 1:
        shares = [f"{name} {p.accuracy:.0%}/{p.tool_rate:.0%}" for name, p in figures.categories.items()]
        words.append(f"({', '.join(shares)})")
    return one_line("  ".join([*words, _small(figures)]), 400)


def _small(figures: StepFigures) -> str:
    words = [f"loss {figures.loss:.4f}", f"gradient {figures.grad_norm:.3g}", f"lr {figures.lr:.2g}"]
    if figures.entropy is not None:
        words.append(f"entropy {figures.entropy:.3f}")
    if figures.kl is not None:
        words.append(f"kl {figures.kl:.4f}")
    if figures.rollouts:
        words.append(f"learned from {figures.learned} of {figures.rollouts}")
    if figures.errors:
        words.append(f"errors {figures.errors}")
    words.append(f"{figures.tokens / max(figures.rollout_s + figures.update_s, 1e-9):,.0f} tokens/s")
    return "  ".join(words)


def _recent(values: Sequence[float]) -> float:
    last = values[-_SMOOTH:]
    return sum(last) / len(last) if last else 0.0
