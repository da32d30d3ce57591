"""Runs compared sample by sample: pairs against a reference and a hand's computation, settings, families, files."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from evalkit import Record, Rule, Verdict
from evalkit.analysis.compare import compare, label
from evalkit.analysis.comparison import Comparison
from evalkit.analysis.config_diff import ASKED, MODEL, WHERE
from evalkit.analysis.paired_figures import CONSTANT, EQUAL, NONE, SAME, UNTESTED, Figure
from evalkit.cli._compare_files import COLUMNS, as_csv, as_json, as_markdown
from evalkit.records import AGAIN, DIRECT, ISOLATED
from evalkit.runs.folder import Session
from tests.conftest import Cli
from tests.run_folders import PLACE, row, write_run


def two(tmp_path: Path, old: Sequence[Record], new: Sequence[Record], **options: Any) -> Comparison:
    write_run(tmp_path / "a", old, model="old")
    write_run(tmp_path / "b", new, model="new")
    return compare([tmp_path / "a", tmp_path / "b"], **options)


def named(comparison: Comparison, name: str, category: str = "", run: int = 0) -> Figure:
    (found,) = [f for f in comparison.against[run].figures if (f.name, f.category) == (name, category)]
    return found


def rights(text: str, **options: Any) -> list[Record]:
    """A row for each letter: r right, w wrong, e error."""
    kinds: dict[str, bool | Verdict] = {"r": True, "w": False, "e": Verdict.ENGINE_ERROR}
    return [row(i, kinds[letter], **options) for i, letter in enumerate(text)]


#        both right 9, only the reference 2, only the new one 7, neither 3
OLD, NEW = "r" * 9 + "r" * 2 + "w" * 7 + "w" * 3, "r" * 9 + "w" * 2 + "r" * 7 + "w" * 3


def test_accuracy_is_paired_and_its_p_is_mcnemars(tmp_path: Path) -> None:
    found = named(two(tmp_path, rights(OLD), rights(NEW)), "accuracy")
    assert found.counts is not None
    assert (found.counts.both, found.counts.only_old, found.counts.only_new, found.counts.neither) == (9, 2, 7, 3)
    assert (found.n, found.old, found.new) == (21, pytest.approx(11 / 21), pytest.approx(16 / 21))
    assert found.difference == pytest.approx(5 / 21)
    exact = mcnemar([[9, 2], [7, 3]], exact=True).pvalue
    # mid-p takes half of the probability of what was seen off each tail
    assert found.p == pytest.approx(exact - math.comb(9, 2) / 2**9)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high
    assert found.verdict == SAME


def test_the_flipped_samples_are_those_that_differ_with_their_answers(tmp_path: Path) -> None:
    flips = two(tmp_path, rights(OLD), rights(NEW)).against[0].flips
    assert [flip.id for flip in flips if flip.direction == "right -> wrong"] == ["9", "10"]
    assert [flip.id for flip in flips if flip.direction == "wrong -> right"] == [str(i) for i in range(11, 18)]
    first = flips[0]
    assert (first.expected, first.old_answer, first.new_answer) == ("A", "A", "B")
    assert (first.old_reason, first.new_verdict) == ("answer_tag", "incorrect")


def test_means_are_paired_and_tested_with_the_paired_t(tmp_path: Path) -> None:
    old, new = [0, 1, 2, 1, 0, 3], [1, 1, 4, 2, 0, 3]
    comparison = two(
        tmp_path,
        [row(i, calls=n, tokens=10 * n, seconds=n + 1.0) for i, n in enumerate(old)],
        [row(i, calls=n, tokens=7 * n, seconds=n + 1.5) for i, n in enumerate(new)],
    )
    found = named(comparison, "calls")
    reference = scipy_stats.ttest_rel(new, old)
    assert found.p == pytest.approx(reference.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(reference.confidence_interval()))
    tokens = named(comparison, "completion tokens")
    assert tokens.p == pytest.approx(scipy_stats.ttest_rel(np.multiply(new, 7), np.multiply(old, 10)).pvalue)
    latency = named(comparison, "latency")
    assert latency.difference == pytest.approx(sum(new) / 6 - sum(old) / 6 + 0.5)
    # the samples of one run share the moment it ran in, which no test over samples can see
    assert (latency.p, latency.verdict) == (None, UNTESTED)
    assert latency.low is not None


def test_holm_goes_over_every_run_and_categories_are_a_family_of_their_own(tmp_path: Path) -> None:
    def rows(text: str, calls: Sequence[int]) -> list[Record]:
        kinds = {"r": True, "w": False}
        return [
            row(i, kinds[c], calls=n, category="odd" if i % 2 else "even")
            for i, (c, n) in enumerate(zip(text, calls, strict=True))
        ]

    n = 24
    write_run(tmp_path / "a", rows("r" * n, [1] * n))
    write_run(tmp_path / "b", rows("r" * 14 + "w" * 10, [i % 3 for i in range(n)]))
    write_run(tmp_path / "c", rows("r" * 20 + "w" * 4, [i % 2 for i in range(n)]))
    comparison = compare([tmp_path / name for name in "abc"])
    figures = [figure for versus in comparison.against for figure in versus.figures]
    for family in ("figures", "categories"):
        mine = [figure for figure in figures if figure.family == family and figure.p is not None]
        assert comparison.tests[family] == len(mine)
        raw = [figure.p for figure in mine]
        assert [f.p_adjusted for f in mine] == pytest.approx(multipletests(raw, method="holm")[1].tolist())
    assert [versus.label for versus in comparison.against] == ["B", "C"]
    assert named(comparison, "accuracy").verdict == "B worse"
    assert named(comparison, "tool rate", run=1).verdict == "C lower"
    even = named(comparison, "accuracy", "even")
    assert (even.n, even.old, even.new) == (12, 1.0, pytest.approx(7 / 12))


def test_rows_of_one_image_count_as_a_cluster(tmp_path: Path) -> None:
    def rows(text: str, size: int) -> list[Record]:
        return [row(i, c == "r", cluster=f"image {i // size}") for i, c in enumerate(text)]

    (tmp_path / "alone").mkdir()
    (tmp_path / "together").mkdir()
    old, new = "rrrrwwwwrrrrrrrr", "wwwwrrrrrrrrwwww"
    alone = named(two(tmp_path / "alone", rows(old, 1), rows(new, 1)), "accuracy")
    together = named(two(tmp_path / "together", rows(old, 4), rows(new, 4)), "accuracy")
    assert (alone.method, together.method) == ("tango", "cluster_tango")
    assert together.test == "cluster_mcnemar:mid-p"
    assert alone.difference == together.difference
    assert together.low is not None
    assert alone.low is not None
    assert together.low < alone.low


def test_error_rows_leave_the_pairs_and_are_counted(tmp_path: Path) -> None:
    comparison = two(tmp_path, rights("rrewrr"), rights("rerwee"))
    overlap = comparison.against[0].overlap
    assert (overlap.both, overlap.pairs) == (6, 2)
    assert (overlap.errors_old, overlap.errors_new) == (("2",), ("1", "4", "5"))
    assert [run.errors for run in comparison.runs] == [1, 3]
    assert named(comparison, "accuracy").n == 2


def test_runs_that_overlap_in_part_are_paired_where_they_do(tmp_path: Path) -> None:
    old, new = [row(i) for i in range(6)], [row(i, i != 4) for i in range(3, 8)]
    overlap = two(tmp_path, old, new).against[0].overlap
    assert (overlap.pairs, overlap.only_old, overlap.only_new) == (3, ("0", "1", "2"), ("6", "7"))


def test_repeats_are_means_per_sample_and_other_arms_stay_out(tmp_path: Path) -> None:
    def repeated(*groups: str, arm: str = "agent") -> list[Record]:
        return [row(i, c == "r", repeat=k, arm=arm) for i, group in enumerate(groups) for k, c in enumerate(group)]

    old = [*repeated("rrrr", "rrww", "wwww", "rwww"), row(0, False, arm=AGAIN), row(1, False, arm=DIRECT)]
    new = repeated("rrrw", "wwww", "rrww", "rrrr")
    comparison = two(tmp_path, old, new)
    found = named(comparison, "accuracy")
    differences = [-0.25, -0.5, 0.5, 0.75]
    assert found.n == 4
    assert found.difference == pytest.approx(np.mean(differences))
    assert found.p == pytest.approx(scipy_stats.ttest_1samp(differences, 0).pvalue)
    assert found.counts is None
    # half of the repeats right is neither right nor wrong
    assert [(flip.id, flip.direction) for flip in comparison.against[0].flips] == [("3", "wrong -> right")]
    assert [run.repeats for run in comparison.runs] == [4, 4]
    error = scipy_stats.sem(differences)
    assert comparison.against[0].detectable.value == pytest.approx(
        error * (scipy_stats.norm.ppf(0.975) + scipy_stats.norm.ppf(0.8))
    )


def test_a_flip_of_repeats_shows_a_repeat_of_the_majority(tmp_path: Path) -> None:
    old = [row(0, False, repeat=k) for k in range(4)]
    new = [row(0, k > 0, repeat=k) for k in range(4)]
    [flip] = two(tmp_path, old, new).against[0].flips
    assert (flip.direction, flip.old_verdict, flip.new_verdict) == ("wrong -> right", "incorrect", "correct")


def test_a_repeat_that_failed_leaves_the_mean_of_the_others(tmp_path: Path) -> None:
    old = [row(0, True), row(0, Verdict.ENGINE_ERROR, repeat=1), row(1, False), row(1, True, repeat=1)]
    comparison = two(tmp_path, old, rights("rw"))
    assert named(comparison, "accuracy").old == pytest.approx((1 + 0.5) / 2)
    assert comparison.runs[0].errors == 1
    assert comparison.against[0].overlap.errors_old == ()


def test_what_could_have_been_seen_is_the_smallest_difference_with_the_power(tmp_path: Path) -> None:
    from evalkit.stats import paired_power

    old, new = "r" * 60 + "r" * 9 + "w" * 11 + "w" * 20, "r" * 60 + "w" * 9 + "r" * 11 + "w" * 20
    value = two(tmp_path, rights(old), rights(new)).against[0].detectable.value
    assert value is not None
    assert paired_power(100, 0.2, value) >= 0.8 > paired_power(100, 0.2, value - 1e-4)


def test_equal_runs_differ_in_nothing_and_divide_by_nothing(tmp_path: Path) -> None:
    comparison = two(tmp_path, rights("rrww", calls=1), rights("rrww", calls=1))
    verdicts = {figure.name: figure.verdict for figure in comparison.against[0].figures}
    assert set(verdicts.values()) == {EQUAL}
    assert comparison.against[0].flips == ()
    assert comparison.against[0].detectable.why == "no sample differs, so nothing is known of how much they vary"
    assert [difference.key for difference in comparison.config] == ["model.name", "model.weights"]


def test_one_call_more_on_every_sample_is_said_and_not_tested(tmp_path: Path) -> None:
    found = named(two(tmp_path, rights("rrrr", calls=1), rights("rrrr", calls=2)), "calls")
    assert (found.difference, found.p, found.verdict) == (1.0, None, CONSTANT)
    assert "all values are equal" in found.why


@pytest.mark.parametrize(("old", "new"), [("r", "r"), ("r", "w"), ("e", "r"), ("ee", "ee"), ("rrrr", "wwww")])
def test_small_and_extreme_runs_have_figures_or_reasons(tmp_path: Path, old: str, new: str) -> None:
    comparison = two(tmp_path, rights(old, seconds=math.nan), rights(new, seconds=math.nan))
    for figure in comparison.against[0].figures:
        assert figure.verdict != NONE or figure.why
    assert named(comparison, "latency").difference is None
    for form in (as_json, as_csv, as_markdown):
        assert "nan" not in form(comparison).lower()


def test_one_cluster_alone_has_a_difference_and_no_interval(tmp_path: Path) -> None:
    found = named(two(tmp_path, rights("rrww", cluster="x"), rights("rrrw", cluster="x")), "accuracy")
    assert (found.difference, found.low, found.p, found.verdict) == (0.25, None, None, NONE)
    assert found.why == "all samples belong to one cluster"


def test_what_only_one_run_knows_names_the_other(tmp_path: Path) -> None:
    comparison = two(tmp_path, rights("rrw", calls=1), rights("rww", partial=True, tokens=None, seconds=None))
    assert named(comparison, "calls").why == "B does not record it"
    assert named(comparison, "completion tokens").why == "B does not record it"
    assert named(comparison, "latency").why == "B does not record it"
    assert named(comparison, "accuracy").n == 3


def sessions(concurrency: int = 8, **place: Any) -> list[Session]:
    return [Session(started="", concurrency=concurrency, environment={**PLACE, **place})]


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (sessions(), sessions(cpu="Another"), "the runs were made on different machines"),
        (sessions(8), sessions(16), "A ran with 8 trajectories in flight, B with 16"),
        (sessions(), [*sessions(), *sessions(cpus=64)], "B ran on several machines"),
        ([Session(started="", concurrency=None)], sessions(), "A does not say on which machine it ran"),
        (sessions(), sessions(), ""),
    ],
)
def test_latency_as_run_needs_equal_machines_and_load(
    tmp_path: Path, first: list[Session], second: list[Session], why: str
) -> None:
    write_run(tmp_path / "a", [row(i, seconds=1.0 + i) for i in range(4)], sessions=first)
    write_run(tmp_path / "b", [row(i, seconds=2.5 + 2 * i) for i in range(4)], sessions=second)
    found = named(compare([tmp_path / "a", tmp_path / "b"]), "latency")
    assert (found.why == why) if why else found.why.startswith("as run, under load")
    assert (found.difference is None) == bool(why)


def test_latency_alone_is_compared_whatever_the_load_was(tmp_path: Path) -> None:
    def rows(step: float) -> list[Record]:
        alone = [row(i, arm=ISOLATED, seconds=1 + step * (i + 1)) for i in range(3)]
        return [*rights("rrrrr", seconds=9.0), *alone, row(3, Verdict.ENGINE_ERROR, arm=ISOLATED, seconds=99.0)]

    write_run(tmp_path / "a", rows(0.25), sessions=sessions(8))
    write_run(tmp_path / "b", rows(0.5), sessions=sessions(16, cpu="Another"))
    comparison = compare([tmp_path / "a", tmp_path / "b"])
    found = named(comparison, "latency alone")
    assert (found.n, found.old, found.new) == (3, 1.5, 2.0)
    assert found.p == pytest.approx(scipy_stats.ttest_1samp([0.25, 0.5, 0.75], 0).pvalue)
    assert "different machines" in found.why
    assert named(comparison, "latency").difference is None


def test_settings_that_differ_are_grouped_by_what_they_change(tmp_path: Path) -> None:
    write_run(tmp_path / "a", rights("rw"))
    changed = {
        "protocol": {"name": "metis", "system_prompt": "fedcba9876543210", "tools": ["python"]},
        "sampling": {"temperature": 1.0},
        "engine": "vllm",
        "model": {"name": "n", "weights": "w", "pixels": {"max": 100}, "dtype": "bfloat16"},
        "sandbox": {"kind": "local"},
        "judge": {"model": "j"},
    }
    place = {**PLACE, "packages": {"torch": "2.14"}}
    write_run(
        tmp_path / "b",
        rights("rw"),
        config=changed,
        task={"fingerprint": "x"},
        sessions=[Session(started="", concurrency=8, environment=place)],
    )
    found = {d.key: (d.group, d.values) for d in compare([tmp_path / "a", tmp_path / "b"]).config}
    assert found["protocol.system_prompt"] == (ASKED, ("0123456789abcdef", "fedcba9876543210"))
    assert found["sampling.temperature"] == (ASKED, (0.0, 1.0))
    assert found["model.pixels.max"] == (ASKED, (None, 100))
    assert {key: found[key][0] for key in ("task.fingerprint", "judge")} == {"task.fingerprint": ASKED, "judge": ASKED}
    assert found["model.name"][0] == found["model.weights"][0] == MODEL
    where = {key for key, (group, _) in found.items() if group == WHERE}
    assert where == {"engine", "model.dtype", "sandbox.kind", "packages.torch"}


def test_another_scorer_another_prompt_and_other_images_are_said(tmp_path: Path, png: Any) -> None:
    import msgspec
    from PIL import Image

    from evalkit import ImageFile

    other = ImageFile.from_pil(Image.new("RGB", (9, 9)), "other.png")
    changed = [
        msgspec.structs.replace(
            record,
            outcome=msgspec.structs.replace(record.outcome, scorer="numbers/2"),
            trajectory=msgspec.structs.replace(record.trajectory, prompt="Please."),
        )
        for record in rights("rw", images=(other,))
    ]
    comparison = two(tmp_path, rights("rw", images=(png,)), changed)
    notes = " ".join(comparison.against[0].notes)
    assert "numbers/1; numbers/2" in notes
    assert "another text on 2 of 2" in notes
    assert "other bytes on 2 of 2" in notes
    assert "scorers" in {difference.key for difference in comparison.config}


def test_the_official_rule_has_its_own_verdicts(tmp_path: Path) -> None:
    old = [row(i, True, official=i % 2 == 0) for i in range(4)]
    new = [row(i, False, official=True) for i in range(4)]
    found = named(two(tmp_path, old, new, rule=Rule.OFFICIAL), "accuracy")
    assert (found.old, found.new) == (0.5, 1.0)


def test_a_later_line_supersedes_an_earlier_one(tmp_path: Path) -> None:
    comparison = two(tmp_path, [row(0, False), row(1), row(0, True)], [row(0), row(1)])
    assert named(comparison, "accuracy").old == 1.0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_counts_and_flips_always_add_up(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[bool, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    old, new = ([row(i, pair[side]) for i, pair in enumerate(pairs)] for side in (0, 1))
    comparison = two(folder, old, new)
    counts = named(comparison, "accuracy").counts
    assert counts is not None
    assert counts.both + counts.only_new + counts.only_old + counts.neither == len(pairs)
    assert len(comparison.against[0].flips) == counts.only_new + counts.only_old
    assert counts.only_new - counts.only_old == sum(b - a for a, b in pairs)


def test_labels_go_on_after_z() -> None:
    assert [label(i) for i in (0, 25, 26, 27, 51, 52)] == ["A", "Z", "AA", "AB", "AZ", "BA"]


def test_json_csv_and_markdown_hold_the_same_figures(tmp_path: Path, cli: Cli) -> None:
    write_run(tmp_path / "a", rights(OLD), model="old")
    write_run(tmp_path / "b", rights(NEW), model="new")
    done = cli("compare", "a", "b", "--json", "c.json", "--csv", "c.csv", "--md", "c.md")
    assert done.returncode == 0, done.stderr
    for said in ("accuracy", "52.4%", "76.2%", "+23.8", "no difference seen", "9 right in both, 2 only in A"):
        assert said in done.stdout
    found = json.loads((tmp_path / "c.json").read_text())
    accuracy = found["against"][0]["figures"][0]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "c.csv").read_text())))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == len(found["against"][0]["figures"])
    assert float(rows[0]["difference"]) == accuracy["difference"]
    assert (rows[0]["run_model"], rows[0]["only_new"], rows[0]["only_old"]) == ("new", "7", "2")
    assert "| accuracy | 52.4% | 76.2% | +23.8 (" in (tmp_path / "c.md").read_text()
    assert found["schema"] == 1
    assert found["own_why"].startswith("unknown task")


@pytest.mark.parametrize("form", ["json", "csv", "md"])
def test_a_dash_puts_one_form_alone_on_the_terminal(tmp_path: Path, cli: Cli, form: str) -> None:
    write_run(tmp_path / "a", rights(OLD))
    write_run(tmp_path / "b", rights(NEW))
    done = cli("compare", "a", "b", f"--{form}", "-")
    assert done.returncode == 0
    start = {"json": "{", "csv": "task,rule,reference", "md": "### `numbers`"}[form]
    assert done.stdout.startswith(start)
    if form == "json":
        json.loads(done.stdout)


@pytest.mark.parametrize("columns", ["80", "140"])
def test_the_table_fits_the_terminal(tmp_path: Path, cli: Cli, columns: str) -> None:
    write_run(tmp_path / "a", rights(OLD, category="some_category_name"))
    write_run(tmp_path / "b", rights(NEW, category="some_category_name"))
    done = cli("compare", "a", "b", COLUMNS=columns)
    assert max(map(len, done.stdout.splitlines())) <= int(columns)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("accuracy ")]
    assert line.rstrip().endswith(SAME)


def test_benchmark_figures_stand_beside_where_the_benchmark_is_known(tmp_path: Path, cli: Cli) -> None:
    folder = tmp_path / "numbers"
    folder.mkdir()
    (folder / "task.py").write_text(
        "from evalkit import Metric, Outcome, Task, Verdict\n"
        "class Numbers(Task):\n"
        "    name = 'numbers'\n"
        "    def samples(self):\n        return []\n"
        "    def score(self, sample, response):\n        return Outcome(verdict=Verdict.UNPARSED)\n"
        "    def metrics(self, records):\n"
        "        return (Metric.share('first half', [r.outcome.right() for r in records[: len(records) // 2]]),)\n"
    )
    write_run(tmp_path / "a", rights("rrww"))
    write_run(tmp_path / "b", rights("rwww"))
    done = cli("compare", "a", "b", "--task-dir", "numbers", "--json", "-")
    assert done.returncode == 0, done.stderr
    (own,) = json.loads(done.stdout)["own"]
    assert (own["name"], own["values"], own["n"]) == ("first half", [1.0, 0.5], [2, 2])
