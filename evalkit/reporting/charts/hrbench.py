"""HR-Bench's cycles: the same questions in four orders of the options, and how many are right in all of them."""

from __future__ import annotations

from evalkit.analysis.board import Board, Entry
from evalkit.records import Rule
from evalkit.reporting.charts.chart import Row
from evalkit.reporting.charts.drawing import Box
from evalkit.reporting.charts.drawn import Drawn
from evalkit.reporting.charts.legend import Key
from evalkit.reporting.charts.names import plain
from evalkit.reporting.charts.own import own_metrics
from evalkit.reporting.charts.rows import SHARES, row_panel
from evalkit.reporting.charts.runs import Runs
from evalkit.reporting.charts.style import MARKS, SERIES, Style
from evalkit.reporting.charts.words import percent, sentences

_CYCLE = "cycle."
_ALL = "all_four"
_PITCH = 44.0
_BAR = Style("c7", "", "-")


def cycle_chart(board: Board, runs: Runs) -> Drawn | None:
    """A bar for the questions that are right in all four orders, and a mark for each order's accuracy."""
    chosen = runs.with_data(lambda entry: bool(_cycles(entry, board.rule)), "cycles")
    if not chosen.runs:
        return None
    found = [_cycles(run.entry, board.rule) for run in chosen.runs]
    names = sorted({name for one in found for name in one if name.startswith(_CYCLE)})
    looks = {name: Style(SERIES[i % len(SERIES)], MARKS[i % len(MARKS)], "-") for i, name in enumerate(names)}
    keys = [
        Key("right in all four orders", _BAR, "box"),
        *(Key(f"cycle {plain(name.removeprefix(_CYCLE))}", look) for name, look in looks.items()),
    ]
    texts = [f"{tick:.0%}" for tick in SHARES]
    drawing, panel = row_panel(chosen.runs, keys, "Accuracy; share of questions", SHARES, texts, pitch=_PITCH, right=30)
    for i, (run, values) in enumerate(zip(chosen.runs, found, strict=True)):
        if _ALL in values:
            hint = f"{run.name}: right in all four orders {values[_ALL]:.1%} of the questions"
            drawing.boxes(panel, [Box(0.0, i - 0.36, values[_ALL], i + 0.36)], _BAR.colour, [hint], alpha=0.55)
        for k, name in enumerate(names):
            if name in values:
                hint = f"{run.name}: cycle {name.removeprefix(_CYCLE)} {values[name]:.1%}"
                y = i + 0.7 * ((k + 0.5) / len(names) - 0.5)
                drawing.marks(panel, [(values[name], y)], looks[name], [hint], size=7.0)
    return Drawn(
        name="hrbench",
        title="Four orders of the options",
        caption=sentences(
            "The same questions are asked four times with the right option at A, B, C and D in turn.",
            "Marks: accuracy in each of the four cycles. Bar: questions that are right in all four.",
            "The further the bar stays behind the marks, the more depends on the order.",
            chosen.left_out,
        ),
        alt="; ".join(
            f"{run.name}: all four right {percent(values.get(_ALL))}, "
            + ", ".join(f"cycle {name.removeprefix(_CYCLE)} {percent(values.get(name))}" for name in names)
            for run, values in zip(chosen.runs, found, strict=True)
        ),
        data=tuple(
            _row(run.name, run.entry.run, values, names) for run, values in zip(chosen.runs, found, strict=True)
        ),
        drawing=drawing,
    )


def _row(name: str, run: str, values: dict[str, float], names: list[str]) -> Row:
    return {"name": name, "run": run, **{key: values.get(key) for key in (_ALL, "overall", *names)}}


def _cycles(entry: Entry, rule: Rule) -> dict[str, float]:
    """All-four, overall and each cycle's accuracy; empty where the benchmark has no cycles."""
    known = {name: metric.value for name, metric in own_metrics(entry, rule).items()}
    found = {
        name: value
        for name, value in known.items()
        if value is not None and (name in (_ALL, "overall") or name.startswith(_CYCLE))
    }
    return found if any(name.startswith(_CYCLE) for name in found) else {}
