"""Baselines: a run folder and its archive say the same, a published mean says so."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit import Record, Verdict, stats
from evalkit.errors import EvalkitError
from evalkit.gate import GateResult, Status, open_baseline, parse_rule, run_gate, save_baseline
from evalkit.gate.baseline import Means, Samples
from evalkit.records import AGAIN, DIRECT, FORCED, ISOLATED
from evalkit.runs.folder import Session
from tests.run_folders import PLACE, row, write_run

EVERY = [
    parse_rule(text)
    for text in (
        "accuracy:noninferior:1pt",
        "accuracy_official:min:-5pt",
        "tool_rate:max:+5pt",
        "tool_rate_ok:max:90%",
        "calls:max:+20%",
        "redundant_rate:max:+5pt",
        "redundant_rate_raw:max:10%",
        "need_precision:noninferior:5pt",
        "need_recall:min:0.5",
        "efficiency:noninferior:1pt",
        "tokens_in:max:+10%",
        "tokens_out:max:+10",
        "latency_p50:max:+20%",
        "latency_p95:max:+20%",
        "unparsed:max:+1pt",
    )
]
SECRET = "a text that an archive must not hold"


def arms(n: int, shift: int) -> list[Record]:
    """A run with every arm, several repeats, clusters, options and an error."""
    made = []
    for i in range(n):
        about = {
            "cluster": f"c{i // 2}" if i < n // 2 else "",
            "category": "ab"[i % 2],
            "choices": {"A": SECRET, "B": "two"},
            "question": f"{SECRET} {i}",
        }
        for r in range(3):
            right = Verdict.JUDGE_ERROR if i == 3 and r == 0 else (i * 7 + r + shift) % 5 > 2
            calls, seconds = (i + shift) % 3, 1.0 + i / 7
            made.append(row(i, right, repeat=r, calls=calls, seconds=seconds, official=i % 4 > 0, text=SECRET, **about))
        made.append(row(i, (i + shift) % 3 > 0, arm=DIRECT, text=SECRET, **about))
        if i < 30:
            made += [row(i, seconds=0.5 + i / 9, arm=arm, text=SECRET, **about) for arm in (ISOLATED, AGAIN, FORCED)]
    return made


def without_names(result: GateResult) -> GateResult:
    return msgspec.structs.replace(result, baseline="", baseline_kind="")


def test_a_run_and_its_archive_give_the_same_result(tmp_path: Path) -> None:
    write_run(tmp_path / "old", arms(80, 0))
    write_run(tmp_path / "new", arms(80, 1))
    file = save_baseline(tmp_path / "old", tmp_path / "old.json.gz")
    from_run = run_gate(tmp_path / "new", str(tmp_path / "old"), EVERY)
    from_file = run_gate(tmp_path / "new", str(file), EVERY)
    assert (from_run.baseline_kind, from_file.baseline_kind) == ("run", "archive")
    assert without_names(from_run) == without_names(from_file)
    assert not any(check.status is Status.ERROR for check in from_run.checks if check.metric != "errors")
    assert from_run.flips
    assert {flip.old_answer for flip in from_file.flips} == {"A", "B"}


def test_an_archive_holds_no_text_and_no_place_of_the_machine(tmp_path: Path) -> None:
    environment = {**PLACE, "command": ["evalkit", "--out", "/home/somebody/runs"], "memory_gb": 3}
    engine = {"weights": "/home/somebody/weights", "device": "cpu"}
    session = Session(started="2026", concurrency=8, environment=environment, engine=engine, notes=[f"note {SECRET}"])
    write_run(tmp_path / "old", arms(10, 0), sessions=[session])
    text = gzip.decompress(save_baseline(tmp_path / "old", tmp_path / "b").read_bytes()).decode()
    assert SECRET not in text
    assert "somebody" not in text
    assert "judge_error" in text
    assert "the server went away" not in text


def test_equal_runs_give_equal_bytes_and_a_few_bytes_a_row(tmp_path: Path) -> None:
    write_run(tmp_path / "old", [row(i, i % 3 > 0, seconds=1 + i / 977, calls=i % 4) for i in range(2000)])
    one, two = (save_baseline(tmp_path / "old", tmp_path / name) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert one.stat().st_size < 60 * 2000


def test_a_later_line_supersedes_an_earlier_one(tmp_path: Path) -> None:
    write_run(tmp_path / "old", [row(1, False), row(2), row(1, True)])
    found = open_baseline(save_baseline(tmp_path / "old", tmp_path / "b"))
    assert isinstance(found, Samples)
    assert [(kept.id, kept.verdict) for kept in found.rows] == [("1", Verdict.CORRECT), ("2", Verdict.CORRECT)]


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@settings(max_examples=25)
@given(
    ids=st.lists(TEXTS, min_size=1, max_size=8, unique=True),
    answers=st.lists(TEXTS | st.none(), min_size=8, max_size=8),
    verdicts=st.lists(st.sampled_from(list(Verdict)), min_size=8, max_size=8),
    seconds=st.lists(st.floats(0, 1e6) | st.none(), min_size=8, max_size=8),
    tokens=st.lists(st.integers(0, 10**9) | st.none(), min_size=8, max_size=8),
)
def test_what_is_archived_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    ids: list[str],
    answers: list[str | None],
    verdicts: list[Verdict],
    seconds: list[float | None],
    tokens: list[int | None],
) -> None:
    folder = tmp_path_factory.mktemp("run")
    made = [
        row(id, verdicts[i], answered=answers[i], seconds=seconds[i], tokens=tokens[i], calls=i, partial=i % 3 == 0)
        for i, id in enumerate(ids)
    ]
    write_run(folder / "old", made)
    file = save_baseline(folder / "old", folder / "b")
    from_run, from_file = open_baseline(folder / "old"), open_baseline(file)
    assert isinstance(from_run, Samples)
    assert isinstance(from_file, Samples)
    assert from_run.rows == from_file.rows
    assert from_run.info == from_file.info


def test_the_file_run_json_stands_for_its_folder(tmp_path: Path) -> None:
    write_run(tmp_path / "old", [row(1)])
    assert open_baseline(tmp_path / "old" / "run.json") == open_baseline(tmp_path / "old")


def vstar(tmp_path: Path, right: int, calls: int = 0) -> Path:
    parts = ["direct_attributes"] * 115 + ["relative_position"] * 76
    rows = [row(i, i < right, calls=int(i < calls), category=part) for i, part in enumerate(parts)]
    return write_run(tmp_path / "new", rows, task={"name": "vstar"})


def test_a_published_mean_is_one_sample_and_labelled(tmp_path: Path) -> None:
    new = vstar(tmp_path, 174)
    held = open_baseline("published:Metis-8B@metis")
    assert isinstance(held, Means)
    result = run_gate(new, held, [parse_rule("accuracy:noninferior:5pt"), parse_rule("tool_rate:max:+5pt")])
    assert (result.baseline_kind, result.baseline_model) == ("published", "Metis-8B")
    accuracy = result.checks[0]
    (published,) = [f for f in held.figures if (f.task, f.metric) == ("vstar", "accuracy")]
    own = stats.wilson(174, 191)
    assert accuracy.difference is not None
    assert accuracy.difference.method == "one-sample"
    assert accuracy.difference.low == pytest.approx(own.low - published.value / 100)
    assert accuracy.difference.high == pytest.approx(own.high - published.value / 100)
    assert f"one-sample: published {published.value:g} %" in accuracy.why
    assert accuracy.paired is None
    assert result.flips == ()
    assert any("published mean without samples" in note for note in result.notes)


def test_a_run_far_below_a_published_mean_fails(tmp_path: Path) -> None:
    result = run_gate(vstar(tmp_path, 100), "published:Metis-8B@metis")
    assert result.checks[0].status is Status.FAIL
    assert result.exit_code == 1


def test_sources_that_disagree_are_named_and_one_can_be_chosen(tmp_path: Path) -> None:
    new = vstar(tmp_path, 150)
    with pytest.raises(EvalkitError) as caught:
        run_gate(new, "published:Qwen2.5-VL-7B")
    said = str(caught.value)
    assert "75.3 % (metis = mars), 78.5 % (deepeyesv2), 75.5 % (mini-o3)" in said
    assert "published:Qwen2.5-VL-7B@metis" in said
    chosen = run_gate(new, "published:Qwen2.5-VL-7B@mars")
    assert chosen.checks[0].baseline is not None
    assert chosen.checks[0].baseline.value == pytest.approx(0.753)
    # nothing is published of its tool use: the default rule is left out, and that is said
    assert [check.metric for check in chosen.checks] == ["accuracy", "errors"]
    assert any("tool_rate:max:+5pt is left out: nothing is published" in note for note in chosen.notes)


def test_a_part_of_a_benchmark_has_published_figures_of_its_own(tmp_path: Path) -> None:
    rule = parse_rule("accuracy:noninferior:5pt", category="direct_attributes")
    result = run_gate(vstar(tmp_path, 191), "published:Qwen3-VL-30B-A3B", [rule])
    assert result.checks[0].baseline is not None
    assert result.checks[0].baseline.value == pytest.approx(0.817)
    assert result.checks[0].new is not None
    assert result.checks[0].new.n == 115


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        ("published:Metis-8", "unknown published model 'Metis-8'; nearest: Metis-8B"),
        ("published:Metis-8B@meta", "unknown source of Metis-8B 'meta'; nearest: metis"),
        ("published:", "unknown published model ''"),
    ],
)
def test_what_is_not_published_is_named_with_what_is_near(baseline: str, said: str) -> None:
    with pytest.raises(EvalkitError) as caught:
        open_baseline(baseline)
    assert said in str(caught.value)


def test_what_needs_samples_is_not_to_be_had_of_a_mean(tmp_path: Path) -> None:
    rules = [parse_rule("calls:max:+1"), parse_rule("accuracy:min:10%"), parse_rule("tool_rate:max:+5pt")]
    result = run_gate(vstar(tmp_path, 150), "published:Qwen2.5-VL-7B@mars", rules)
    assert [check.status for check in result.checks] == [Status.ERROR, Status.PASS, Status.ERROR, Status.PASS]
    assert "has no samples" in result.checks[0].why


def test_a_benchmark_without_a_published_figure_is_no_pass(tmp_path: Path) -> None:
    write_run(tmp_path / "new", [row(i) for i in range(50)])
    result = run_gate(tmp_path / "new", "published:Metis-8B")
    assert result.checks[0].status is Status.ERROR
    assert "nothing is published of it for Metis-8B on numbers" in result.checks[0].why
    assert result.exit_code == 3


def test_an_archives_head_says_what_it_is(tmp_path: Path) -> None:
    write_run(tmp_path / "old", [row(1)])
    head = json.loads(gzip.decompress(save_baseline(tmp_path / "old", tmp_path / "b").read_bytes()))
    assert (head["format"], head["version"]) == ("evalkit-baseline", 1)
