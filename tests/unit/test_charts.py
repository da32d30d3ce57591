"""Charts by their data, and by what stands in their SVG."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import matplotlib
import msgspec
import pytest

from evalkit.analysis.board import Board, Entry
from evalkit.analysis.figure import Figure
from evalkit.baselines import Published
from evalkit.content import content_dir
from evalkit.records import Rule, Verdict
from evalkit.reporting.charts import Chart, charts_of
from evalkit.reporting.charts.outcomes import MISSING, PARTS
from evalkit.reporting.charts.style import WIDTH
from evalkit.task import Metric
from tests.chart_boards import HOSTILE, bare, board, entry

SVG = "{http://www.w3.org/2000/svg}"
ALL = [
    "accuracy-tool-rate",
    "accuracy-seconds",
    "outcomes",
    "categories",
    "arbitration",
    "calls",
    "budget",
    "latency",
    "wemath",
    "hrbench",
]
RUNS = [entry("one", 1), entry("two", 2), entry("three", 3)]
BOARD = board(RUNS)
CHARTS = {chart.name: chart for chart in charts_of(BOARD)}
BY_RUN = {one.run: one for one in RUNS}


def chart(name: str, of: Board) -> Chart:
    return next(one for one in charts_of(of) if one.name == name)


def changed(found: Entry, /, **fields: Any) -> Entry:
    return msgspec.structs.replace(found, **fields)


def marks(svg: str) -> dict[str, ET.Element]:
    """What has a hint, by its hint."""
    found = {}
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        for node in group.iter():
            hint = node.find(f"{SVG}title")
            if hint is not None and hint.text:
                found[hint.text] = node
    return found


def box(node: ET.Element) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a rectangle."""
    points = re.findall(r"[ML] (-?[\d.]+) (-?[\d.]+)", node.get("d", ""))
    xs, ys = [float(x) for x, _ in points], [float(y) for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg).iter(f"{SVG}text")]


def width(node: ET.Element) -> float:
    left, _, right, _ = box(node)
    return right - left


def test_all_charts_are_made_in_order() -> None:
    assert list(CHARTS) == ALL
    for one in CHARTS.values():
        assert one.title
        assert one.caption.endswith(".")
        assert one.data
        assert len({tuple(row) for row in one.data}) == 1
        msgspec.json.encode(one)


def test_the_figures_behind_the_tool_rate_chart() -> None:
    data = CHARTS["accuracy-tool-rate"].data
    measured = [row for row in data if row["kind"] == "measured"]
    assert [row["run"] for row in measured] == [one.run for one in BOARD.entries]
    for row in measured:
        run = BY_RUN[str(row["run"])]
        for name, figure in (("accuracy", run.accuracy), ("tool_rate", run.tool_rate)):
            assert [row[name], row[f"{name}_low"], row[f"{name}_high"]] == [figure.value, figure.low, figure.high]
    metis = [row for row in data if row["name"] == "Metis-8B"]
    assert [(row["accuracy"], row["tool_rate"], row["accuracy_low"]) for row in metis] == [(0.911, 0.02, None)]
    assert "metis-figure" in str(metis[0]["source"])


def test_a_published_mark_is_hollow_and_a_measured_one_filled() -> None:
    found = marks(CHARTS["accuracy-tool-rate"].svg)
    assert len(found) == len(CHARTS["accuracy-tool-rate"].data)
    for hint, node in found.items():
        assert (node.get("fill") == "var(--bg)") == (", published:" in hint)
    assert any(", published:" in hint for hint in found)


def test_marks_stand_where_their_figures_are() -> None:
    svg = CHARTS["accuracy-tool-rate"].svg
    rows = [row for row in CHARTS["accuracy-tool-rate"].data if row["kind"] == "measured"]
    found = marks(svg)
    at = []
    for row in rows:
        node = next(node for hint, node in found.items() if hint.startswith(f"{row['name']}:"))
        at.append((float(node.get("x", "")), float(node.get("y", ""))))
    (x0, y0), (x1, y1), (x2, y2) = at
    rates, accuracies = [float(row["tool_rate"] or 0) for row in rows], [float(row["accuracy"] or 0) for row in rows]
    assert (x2 - x0) / (x1 - x0) == pytest.approx((rates[2] - rates[0]) / (rates[1] - rates[0]), abs=0.02)
    # up is more
    assert (y1 - y0) * (accuracies[1] - accuracies[0]) < 0
    ratio = (accuracies[2] - accuracies[0]) / (accuracies[1] - accuracies[0])
    assert (y2 - y0) / (y1 - y0) == pytest.approx(ratio, abs=0.02)


def test_a_published_tool_rate_takes_the_accuracy_of_its_own_source() -> None:
    def figure(metric: str, value: float, source: str) -> Published:
        named = {"model": "M", "kind": "agent", "task": "drawn", "unit": "%", "regime": "unknown"}
        return Published(metric=metric, value=value, sources=(source,), **named)

    some = [figure("accuracy", 50, "a"), figure("accuracy", 60, "b"), figure("tool_rate", 10, "b")]
    row = chart("accuracy-tool-rate", board(RUNS, figures=some)).data[-1]
    assert (row["accuracy"], row["source"]) == (0.6, "tool rate from b; accuracy from b")
    alone = chart("accuracy-tool-rate", board(RUNS, figures=some[-1:]))
    assert {row["kind"] for row in alone.data} == {"measured"}
    assert "1 published models are not shown" in alone.caption


def test_runs_without_room_for_their_names_are_named_in_the_legend() -> None:
    alike = board([changed(RUNS[0], run=f"run {k}", model=f"model {k}") for k in range(9)])
    found = texts(chart("accuracy-tool-rate", alike).svg)
    assert sorted(text for text in found if text.startswith("model")) == [f"model {k}" for k in range(9)]


def test_the_front_is_that_of_the_figures_shown() -> None:
    for row in CHARTS["accuracy-seconds"].data:
        mine = BY_RUN[str(row["run"])]
        better = [
            one.run
            for one in RUNS
            if (one.accuracy.value or 0) >= (mine.accuracy.value or 0)
            and (one.p50.value or 0) <= (mine.p50.value or 0)
            and one is not mine
        ]
        assert (row["beaten_by"] is None) == (not better)
        assert row["p50"] == mine.p50.value


def test_tokens_and_calls_stand_in_where_seconds_are_unknown() -> None:
    def names(runs: list[Entry]) -> list[str]:
        return [one.name for one in charts_of(board(runs)) if one.name.startswith("accuracy-")]

    none = Figure(why="nobody measured it")
    no_seconds = [changed(one, p50=none) for one in RUNS]
    assert names(no_seconds) == ["accuracy-tool-rate", "accuracy-tokens"]
    assert names([changed(one, tokens_out=none) for one in no_seconds]) == ["accuracy-tool-rate", "accuracy-calls"]
    mixed = board([*RUNS[:2], no_seconds[2]])
    assert [one.name for one in charts_of(mixed)][1:3] == ["accuracy-seconds", "accuracy-tokens"]
    assert "Without known seconds: three." in chart("accuracy-seconds", mixed).caption
    assert names(RUNS[:1]) == ["accuracy-tool-rate"]


def test_outcome_bars_are_as_long_as_their_counts() -> None:
    run = changed(RUNS[0], outcomes={"correct": 50, "incorrect": 30, "sandbox_error": 15}, done=95, expected=100)
    found = chart("outcomes", board([run]))
    assert found.data == (
        {"name": "one", "run": "one", **{str(part.name): 0 for part in PARTS}}
        | {"correct": 50, "incorrect": 30, "sandbox_error": 15, MISSING: 5},
    )
    bars = [width(node) for node in marks(found.svg).values()]
    assert len(bars) == 4
    assert [bar / sum(bars) for bar in bars] == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=1e-3)
    assert "50 of 100" in texts(found.svg)


def test_every_verdict_has_a_part() -> None:
    assert {part.name for part in PARTS} == {*Verdict, MISSING}
    looks = [(part.tone, part.hatch) for part in PARTS]
    assert len(set(looks)) == len(looks)


def test_category_bars_and_whiskers() -> None:
    found = CHARTS["categories"]
    for row in found.data:
        mine = BY_RUN[str(row["run"])]
        assert row["accuracy"] == mine.categories[str(row["category"])].value
        assert row["tool_rate"] == mine.category_tool_rates[str(row["category"])].value
    bars = {hint: node for hint, node in marks(found.svg).items() if node.tag == f"{SVG}path"}
    wide = {}
    for row in found.data:
        hint = next(
            hint for hint in bars if hint.startswith(f"{row['name']}, {row['category']}: {row['accuracy']:.1%}")
        )
        wide[hint] = width(bars[hint]) / float(row["accuracy"] or 1)
    assert max(wide.values()) == pytest.approx(min(wide.values()), rel=0.01)


def test_one_category_makes_no_chart() -> None:
    run = entry("one", 1, categories=("all",))
    assert "categories" not in {one.name for one in charts_of(board([run]))}


def test_areas_of_a_mosaic_are_shares_of_the_pairs() -> None:
    found = chart("arbitration", board(RUNS[:1]))
    need = RUNS[0].need
    assert need is not None
    cells = {(row["side"], row["cell"]): row["pairs"] for row in found.data}
    assert cells == {
        (side, cell): getattr(getattr(need, side), cell)
        for side in ("called", "abstained")
        for cell in ("kept", "gain", "harm", "lost")
    }
    areas = {}
    for hint, node in marks(found.svg).items():
        left, top, right, bottom = box(node)
        count = re.search(rf", (\d+) of {need.pairs} ", hint)
        assert count
        areas[hint] = (right - left) * (bottom - top) / int(count[1])
    assert len(areas) == sum(count > 0 for count in cells.values() if isinstance(count, int))
    assert max(areas.values()) == pytest.approx(min(areas.values()), rel=0.02)


def test_a_run_without_that_arm_is_named() -> None:
    found = chart("arbitration", board([*RUNS[:2], changed(RUNS[2], need=None)]))
    assert "Without an arm without tools: three." in found.caption


def test_columns_of_calls() -> None:
    run = changed(RUNS[0], call_counts={0: 60, 1: 20, 9: 10, 10: 4, 25: 6})
    found = chart("calls", board([run]))
    assert {row["calls"]: row["samples"] for row in found.data} == run.call_counts
    heights = {}
    for hint, node in marks(found.svg).items():
        _, top, _, bottom = box(node)
        heights[hint] = bottom - top
    values = list(heights.values())
    assert [value / values[0] for value in values] == pytest.approx([1, 1 / 3, 1 / 6, 1 / 6], abs=0.01)
    assert list(heights)[-1] == "one: 10 or more calls in 10.0% of the samples"


def test_budget_curves() -> None:
    found = CHARTS["budget"]
    for run in RUNS:
        for curve in run.budgets:
            rows = [
                row
                for row in found.data
                if (row["run"], row["unit"], row["forced"]) == (run.run, curve.unit, int(curve.forced))
            ]
            assert [row["budget"] for row in rows] == [point.budget for point in curve.points]
            assert [row["accuracy"] for row in rows] == [point.accuracy.value for point in curve.points]
    # one mark for each number of calls, else one at the end
    assert len(marks(found.svg)) == 3 * (4 + 4 + 1 + 1)
    bands = [node for node in ET.fromstring(found.svg).iter(f"{SVG}path") if node.get("fill-opacity") == "0.14"]
    assert len(bands) == 3 * 4


def test_the_queue_is_not_counted_twice() -> None:
    run = changed(RUNS[0], latency_parts={"model": 3.0, "queue": 1.0, "tool": 2.0, "judge": None})
    found = chart("latency", board([run]))
    assert found.data == ({"name": "one", "run": "one", "queue": 1.0, "model": 2.0, "tool": 2.0, "judge": None},)
    assert [width(node) for node in marks(found.svg).values()] == pytest.approx(
        [width(next(iter(marks(found.svg).values()))) * part for part in (1, 2, 2)], rel=0.01
    )
    assert "Not measured: judge of any run." in found.caption
    assert "5 s" in texts(found.svg)


def test_the_four_dimensions_are_all_problems() -> None:
    for row in CHARTS["wemath"].data:
        known = {metric.name: metric for metric in BY_RUN[str(row["run"])].own}
        assert [row[name] for name in ("ik", "ig", "cm_strict", "rm_strict")] == [
            known[name].count for name in ("ik", "ig", "cm_strict", "rm_strict")
        ]
        assert (row["problems"], row["score_strict"]) == (60, known["score_strict"].value)


def test_a_rate_of_nothing_is_no_rote_memorisation() -> None:
    own = (
        Metric(name="ik", value=0.75, n=4, count=3),
        Metric(name="ig", value=0.25, n=4, count=1),
        Metric(name="cm_strict", value=0.0, n=4, count=0),
        Metric(name="rm_strict", value=None, n=0, count=0, note="no whole problem right: the rate is 0/0"),
    )
    (row,) = chart("wemath", board([changed(RUNS[0], own=own)])).data
    assert (row["ik"], row["rm_strict"], row["problems"], row["score_strict"]) == (3, 0, 4, None)


def test_figures_of_the_benchmark_are_those_of_the_boards_rule() -> None:
    own = [
        Metric(name=f"{prefix}{name}", value=value, n=10, count=10 * value)
        for prefix, value in (("", 0.5), ("official.", 0.7))
        for name in ("all_four", "cycle.0")
    ]
    strict = board([changed(RUNS[0], own=tuple(own))])
    official = msgspec.structs.replace(strict, rule=Rule.OFFICIAL)
    assert [chart("hrbench", one).data[0]["all_four"] for one in (strict, official)] == [0.5, 0.7]


def test_cycles_have_a_mark_each_and_the_bar_is_all_four() -> None:
    found = CHARTS["hrbench"]
    for row in found.data:
        known = {metric.name: metric.value for metric in BY_RUN[str(row["run"])].own}
        assert {key: value for key, value in row.items() if key not in ("name", "run")} == {
            name: known[name] for name in ("all_four", "overall", "cycle.0", "cycle.1", "cycle.2", "cycle.3")
        }
    assert len(marks(found.svg)) == 3 * 5


def test_the_names_of_wemaths_and_hrbenchs_figures_are_the_benchmarks_own() -> None:
    from evalkit.content import find_tasks, open_task, task_named

    names = {}
    for task in ("wemath", "hrbench_4k"):
        opened = open_task(task_named(task, find_tasks()), "sample")
        names[task] = {metric.name for metric in opened.metrics([])}
    assert {"ik", "ig", "cm_strict", "rm_strict", "score_strict", "score_loose", "cm_loose", "rm_loose"} <= names[
        "wemath"
    ]
    assert {"all_four", "overall"} <= names["hrbench_4k"]


def test_at_most_twelve_runs_and_how_many_are_left_out() -> None:
    many = [entry(f"run-{k}", k) for k in range(30)]
    drawn = board(many)
    front = {point.name for front in drawn.fronts for point in front.best}
    assert len(front) < 12
    for one in charts_of(drawn):
        shown = {row["run"] for row in one.data} - {None}
        assert len(shown) == (6 if one.name == "budget" else 12)
        assert f"{30 - len(shown)} of 30 runs are left out" in one.caption
    shown = {row["run"] for row in chart("outcomes", drawn).data}
    assert front <= shown
    best = [one.run for one in drawn.entries if one.run not in front][: 12 - len(front)]
    assert shown == front | set(best)


def test_a_run_looks_the_same_in_all_charts_and_no_two_look_alike() -> None:
    many = board([entry(f"run-{k}", k) for k in range(12)])
    looks: dict[str, set[str]] = {}
    for name in ("outcomes", "latency"):
        svg = chart(name, many).svg
        root = ET.fromstring(svg)
        shapes = {node.get("id"): node.get("d") for node in root.iter(f"{SVG}path") if node.get("id")}
        signs = [node for node in root.iter(f"{SVG}use") if node.get("x") == "7"]
        for row, node in zip(chart(name, many).data, signs, strict=True):
            looks.setdefault(str(row["run"]), set()).add(f"{node.get('fill')} {shapes[node.get('href', '')[1:]]}")
    assert all(len(found) == 1 for found in looks.values())
    assert len({next(iter(found)) for found in looks.values()}) == 12


def test_a_chart_without_data_is_not_made() -> None:
    assert charts_of(board([])) == ()
    assert charts_of(board([bare("nothing")])) == ()
    assert charts_of(board([bare("only accuracy", 0.5)])) == ()


def test_runs_of_one_model_go_by_their_own_names() -> None:
    apart = board([entry("run-a", 1, model="metis"), entry("run-b", 2, model="thyme")])
    alike = board([entry("run-a", 1, model="metis"), entry("run-b", 2, model="metis")])
    assert {row["name"] for row in chart("outcomes", apart).data} == {"metis", "thyme"}
    assert {row["name"] for row in chart("outcomes", alike).data} == {"run-a", "run-b"}


def test_the_bytes_depend_on_the_figures_alone() -> None:
    again = charts_of(BOARD)
    assert [one.svg for one in again] == [one.svg for one in CHARTS.values()]


def test_the_users_own_settings_of_matplotlib_are_neither_used_nor_changed() -> None:
    with matplotlib.rc_context({"text.usetex": True, "font.size": 40.0, "svg.fonttype": "path"}):
        again = charts_of(BOARD)
        assert matplotlib.rcParams["font.size"] == 40.0
    assert [one.svg for one in again] == [one.svg for one in CHARTS.values()]


def test_an_svg_is_fit_for_a_page() -> None:
    other = charts_of(board(RUNS, "other task"))
    ids: list[str] = []
    for one in (*CHARTS.values(), *other):
        root = ET.fromstring(one.svg)
        assert root.tag == f"{SVG}svg"
        assert root.get("role") == "img"
        assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
        named = {node.get("id"): node.text for node in root if node.get("id")}
        assert [named[name] for name in root.get("aria-labelledby", "").split()] == [one.title, one.alt]
        mine = [node.get("id", "") for node in root.iter() if node.get("id")]
        ids += mine
        for node in root.iter():
            # a strict content security policy lets no style through
            assert node.get("style") is None
            assert node.tag not in (
                f"{SVG}style",
                f"{SVG}script",
                f"{SVG}image",
                f"{SVG}foreignObject",
                f"{SVG}metadata",
            )
            for key, value in node.attrib.items():
                assert not key.startswith("on")
                if key == "href":
                    assert value[1:] in mine
                for reference in re.findall(r"url\(#([^)]*)\)", value):
                    assert reference in mine
                assert key == "xmlns" or "://" not in value
        assert not re.search("#[0-9a-f]{6}", re.sub('href="[^"]*"|id="[^"]*"|url\\([^)]*\\)', "", one.svg))
        assert "<!" not in one.svg
    assert len(ids) == len(set(ids))


@pytest.fixture(scope="module")
def hostile() -> tuple[Chart, ...]:
    runs = [entry(name, seed, categories=HOSTILE[:4]) for seed, name in enumerate(HOSTILE)]
    return charts_of(board(runs, "<b>'\"&/\n"))


def test_hostile_names_are_inert(hostile: tuple[Chart, ...]) -> None:
    assert [one.name for one in hostile] == ALL
    for one in hostile:
        root = ET.fromstring(one.svg)
        assert {node.tag.removeprefix(SVG) for node in root.iter()} <= {
            *("svg", "title", "desc", "g", "path", "use", "text", "defs", "pattern", "rect"),
        }
        shown = "\n".join(texts(one.svg))
        assert shown.isprintable() or "\n" in shown
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800-\udfff]", one.svg + one.caption + one.alt)
        # the run's own name is left as it is, to find it again
        msgspec.json.encode([{**row, "run": None} for row in one.data])
    named = texts(next(one for one in hostile if one.name == "outcomes").svg)
    assert "<script>alert(1)</script>" in named
    # taken for mathematics it would be a fraction, or an error
    assert "$\\frac{1}{0}$ ${" in named
    assert "\N{GRINNING FACE} \u6a21\u578b \U0001f9ff model" in named
    assert any("…" in text and len(text) < 60 for text in named)


def test_a_hint_has_the_whole_name(hostile: tuple[Chart, ...]) -> None:
    hints = marks(next(one for one in hostile if one.name == "outcomes").svg)
    assert any(hint.startswith("a" * 500) for hint in hints)


def test_importing_evalkit_loads_no_matplotlib() -> None:
    code = "import sys, evalkit, evalkit.reporting; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_drawing_leaves_no_figure_behind() -> None:
    code = (
        "import sys; from evalkit.reporting.charts import charts_of; from tests.chart_boards import board, entry; "
        "charts_of(board([entry('one', 1)])); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ALL)
def test_texts_stay_within_the_picture(name: str, text_width: Callable[[str, float], float]) -> None:
    for found in (CHARTS[name], chart(name, board([entry(text, seed) for seed, text in enumerate(HOSTILE)]))):
        root = ET.fromstring(found.svg)
        wide, high = float(root.get("width", "")), float(root.get("height", ""))
        for node in root.iter(f"{SVG}text"):
            size = text_width(node.text or "", float(node.get("font-size", "")))
            share = {None: 0.0, "middle": 0.5, "end": 1.0}[node.get("text-anchor")]
            left = float(node.get("x", "")) - share * size
            assert left >= -1, node.text
            assert left + size <= wide + 1, node.text
            assert 8 <= float(node.get("y", "")) <= high, node.text


@pytest.fixture
def text_width() -> Callable[[str, float], float]:
    from evalkit.reporting.charts.names import text_width

    return text_width


def test_the_front_that_is_drawn_is_the_boards() -> None:
    drawn = board([entry(f"run-{k}", k) for k in range(8)])
    front = next(one for one in drawn.fronts if one.cost == "seconds")
    beaten = {str(row["run"]): row["beaten_by"] for row in chart("accuracy-seconds", drawn).data}
    assert {run for run, by in beaten.items() if by is None} == {point.name for point in front.best}
    seconds = {one.run: one.p50.value for one in drawn.entries}
    assert all(point.seconds == seconds[point.name] for point in front.best)


def test_text_is_large_enough_to_read_at_the_narrowest_that_a_page_draws_it() -> None:
    css = (content_dir("reports") / "static" / "report.css").read_text("utf-8")
    (narrowest,) = re.findall(r"\.drawn svg \{[^}]*min-width: (\d+)rem", css)
    sizes = [
        float(size)
        for one in charts_of(board([entry(f"run-{k}", k) for k in range(5)]))
        for size in re.findall(r'font-size="([\d.]+)"', one.svg)
    ]
    assert sizes
    assert min(sizes) * int(narrowest) * 16 / WIDTH >= 12


def test_words_behind_a_bar_end_on_the_drawing(text_width: Callable[[str], float]) -> None:
    many = msgspec.structs.replace(entry("run", 1), expected=1_000_000)
    svg = ET.fromstring(chart("outcomes", board([many])).svg)
    (words,) = [one for one in svg.iter() if one.tag == f"{SVG}text" and (one.text or "").endswith(" of 1000000")]
    assert float(words.get("x", "")) + text_width(words.text or "") <= WIDTH
