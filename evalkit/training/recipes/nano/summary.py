"""The study's results: means over seeds, as a table, a chart of the trainings and a phase diagram."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.stats import StatsUnavailable, mean
from evalkit.training.recipes.nano.grid import SETTINGS, SHARES, Setting
from evalkit.training.recipes.nano.measure import HeldOut
from evalkit.training.recipes.nano.trials import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEEDED, UNNEEDED = "needs tool", "legible"
_COLUMNS: tuple[tuple[str, Callable[[Mapping[str, HeldOut]], float]], ...] = (
    ("accuracy, tool not needed", lambda at: at[UNNEEDED].accuracy),
    ("accuracy, needed", lambda at: at[NEEDED].accuracy),
    ("tool rate, not needed", lambda at: at[UNNEEDED].tool_rate),
    ("tool rate, needed", lambda at: at[NEEDED].tool_rate),
    ("redundant calls, of all items", lambda at: at["all"].redundant),
)


def over_seeds(values: Sequence[float]) -> str:
    """Mean of shares in per cent with the half width of its 95 % t interval."""
    if len(values) < 2:
        return f"{values[0]:.1%}"
    try:
        found = mean(values)
    except StatsUnavailable:
        return f"{values[0]:.1%} +- 0"
    return f"{found.value:.1%} +- {100 * (found.interval.high - found.value):.1f}"


def table(results: Sequence[Result]) -> str:
    """One Markdown table for each setting: its start, and every reward at the end of training."""
    lines: list[str] = []
    for setting, rows in _by_setting(results):
        seeds = max(len(found) for found in rows.values())
        lines += [f"### {setting.name}: {setting.says}", ""]
        lines.append("| policy | " + " | ".join(name for name, _ in _COLUMNS) + " | calls an item | seeds |")
        lines.append("|---" * (len(_COLUMNS) + 3) + "|")
        first = next(iter(rows.values()))
        lines.append(_row("start", [first[0].before]))
        lines += [_row(name, [result.after for result in found]) for name, found in rows.items()]
        lines += ["", f"{first[0].after['all'].items} held-out items, greedy; mean +- 95 % over {seeds} seeds.", ""]
    return "\n".join(lines)


def phase_table(results: Sequence[Result]) -> str:
    """The phase diagram in numbers: how many trainings ended in which state (see `end_state`), and mean accuracy."""
    cells, names = _phase(results)
    lines = ["| weight | " + " | ".join(f"{share:.0%} need it" for share in SHARES) + " |"]
    lines.append("|---" * (len(SHARES) + 1) + "|")
    for name in names:
        lines.append(f"| {name} | " + " | ".join(_cell(cells.get((name, share), [])) for share in SHARES) + " |")
    return "\n".join(lines)


def end_state(result: Result) -> str:
    """Where a training ended: calls "follow" the need, it "keeps" calling anyway, or has "lost" the tool.

    By whether more than half of the items that need the tool, and of those that do not, are met with a call.
    """
    if result.after[NEEDED].tool_rate <= 0.5:
        return "lost"
    return "keeps" if result.after[UNNEEDED].tool_rate > 0.5 else "follows"


def _cell(results: Sequence[Result]) -> str:
    if not results:
        return ""
    states = [end_state(result) for result in results]
    counted = ", ".join(f"{states.count(state)} {state}" for state in ("follows", "keeps", "lost") if state in states)
    return f"{counted} ({statistics.fmean(result.after['all'].accuracy for result in results):.0%})"


def draw_curves(results: Sequence[Result], file: Path) -> None:
    """Tool rate and accuracy over the steps of training, a column for each setting, a line for each reward."""
    from matplotlib.figure import Figure

    chosen = _by_setting(results)
    figure = Figure(figsize=(3.3 * len(chosen), 8), layout="constrained")
    axes = figure.subplots(4, len(chosen), sharex=True, squeeze=False)
    names = sorted({name for _, variants in chosen for name in variants})
    shown = {}
    rows = [(NEEDED, "accuracy"), (UNNEEDED, "accuracy"), (NEEDED, "tool_rate"), (UNNEEDED, "tool_rate")]
    for column, (setting, variants) in enumerate(chosen):
        for row, (category, figure_name) in enumerate(rows):
            panel = axes[row][column]
            for name, found in variants.items():
                steps, values = _mean_curve(found, category, figure_name)
                (line,) = panel.plot(steps[::_EVERY], values[::_EVERY], color=f"C{names.index(name)}", linewidth=1.4)
                shown[name] = line
            panel.set_ylim(-0.03, 1.03)
            panel.grid(alpha=0.3)
            if not column:
                panel.set_ylabel(f"{figure_name.replace('_', ' ')},\n{'' if category == NEEDED else 'not '}needed")
        axes[0][column].set_title(setting.name)
        axes[-1][column].set_xlabel("step")
    figure.legend([shown[name] for name in names], names, loc="outside lower center", ncols=4)
    _save(figure, file)


def draw_phase(results: Sequence[Result], file: Path) -> None:
    """The phase diagram: how well calls follow the need, and the accuracy where the tool is needed."""
    from matplotlib.figure import Figure

    cells, names = _phase(results)
    figure = Figure(figsize=(11, 0.45 * len(names) + 1.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, (title, value, low, colours) in zip(panels, _PHASES, strict=True):
        grid = [[_mean(cells.get((name, share), []), value) for share in SHARES] for name in names]
        image = panel.imshow(grid, vmin=low, vmax=1, cmap=colours, aspect="auto")
        for y, row in enumerate(grid):
            for x, shown in enumerate(row):
                # brightness as the eye weighs it (ITU-R BT.601)
                red, green, blue, _ = image.cmap(image.norm(shown))
                readable = "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"
                panel.text(x, y, f"{shown:.2f}", ha="center", va="center", fontsize=8, color=readable)
        panel.set_xticks(range(len(SHARES)), [f"{share:.0%}" for share in SHARES])
        panel.set_yticks(range(len(names)), names)
        panel.set_xlabel("share of questions that need the tool")
        panel.set_title(title)
        figure.colorbar(image, ax=panel)
    _save(figure, file)


def _save(figure: Figure, file: Path) -> None:
    import matplotlib

    # the same drawing, the same bytes
    with matplotlib.rc_context({"svg.hashsalt": "evalkit"}):
        figure.savefig(file, metadata=_UNDATED)


def _apart(result: Result) -> float:
    return result.after[NEEDED].tool_rate - result.after[UNNEEDED].tool_rate


_PHASES: tuple[tuple[str, Callable[[Result], float], float, str], ...] = (
    ("tool rate needed - not needed", _apart, -1, "RdYlGn"),
    ("accuracy where needed", lambda result: result.after[NEEDED].accuracy, 0, "viridis"),
)
_UNDATED: dict[str, Any] = {"Date": None}
_SMOOTHED, _EVERY = 10, 3


def _by_setting(results: Sequence[Result]) -> list[tuple[Setting, dict[str, list[Result]]]]:
    found: dict[str, dict[str, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        found[result.trial.setting.name][result.trial.variant.name].append(result)
    return [(setting, dict(found[setting.name])) for setting in SETTINGS if setting.name in found]


def _row(name: str, measured: Sequence[Mapping[str, HeldOut]]) -> str:
    cells = [over_seeds([column(at) for at in measured]) for _, column in _COLUMNS]
    calls = statistics.fmean(at["all"].calls for at in measured)
    return f"| {name} | " + " | ".join(cells) + f" | {calls:.2f} | {len(measured)} |"


def _mean_curve(results: Sequence[Result], category: str, name: str) -> tuple[list[int], list[float]]:
    """Mean over seeds and over the last few steps: a step holds few rollouts."""
    at: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for result in results:
        for point in result.curve:
            if part := point.parts.get(category):
                at[point.step].append((getattr(part, name), part.rollouts))
    steps = sorted(at)
    values = []
    for step in steps:
        near = [pair for other in steps if step - _SMOOTHED < other <= step for pair in at[other]]
        values.append(sum(value * count for value, count in near) / sum(count for _, count in near))
    return steps, values


def _mean(results: Sequence[Result], value: Callable[[Result], float]) -> float:
    return statistics.fmean(map(value, results)) if results else float("nan")


def _phase(results: Sequence[Result]) -> tuple[dict[tuple[str, float], list[Result]], list[str]]:
    cells: dict[tuple[str, float], list[Result]] = defaultdict(list)
    for result in results:
        if (share := result.trial.setting.options.get("tiny_share")) is not None:
            cells[result.trial.variant.name, float(share)].append(result)
    return cells, list(dict.fromkeys(name for name, _ in cells))
