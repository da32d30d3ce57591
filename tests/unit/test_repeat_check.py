"""`--repeat-check`: the same questions once more, compared one by one and kept out of every other figure."""

from __future__ import annotations

import json
from pathlib import Path

from evalkit import Outcome, Record, Sample, StopReason, Trajectory, Turn, Verdict
from evalkit.analysis.repeat import repeat_check
from evalkit.records import AGAIN, AGENT, RECORD_VERSION
from evalkit.runs.arms import evenly
from tests.conftest import Cli


def record(id: str, arm: str, text: str, answer: str | None = None, verdict: Verdict = Verdict.CORRECT) -> Record:
    return Record(
        version=RECORD_VERSION,
        sample=Sample(id=id, question="?"),
        trajectory=Trajectory(prompt="?", stop=StopReason.ANSWERED, turns=(Turn(text=text),)),
        outcome=Outcome(verdict=verdict, answer=answer),
        arm=arm,
    )


def test_pairs_are_compared_by_text_answer_and_verdict() -> None:
    found = repeat_check(
        [
            record("same", AGENT, "x", "A"),
            record("same", AGAIN, "x", "A"),
            record("words", AGENT, "It is B.", "B"),
            record("words", AGAIN, "B it is.", "B"),
            record("answer", AGENT, "A", "A"),
            record("answer", AGAIN, "C", "C"),
            record("verdict", AGENT, "A", "A"),
            record("verdict", AGAIN, "D", "D", Verdict.INCORRECT),
        ]
    )
    assert found is not None
    assert (found.n, found.same_text, found.same_answer, found.same_verdict) == (4, 1, 2, 3)
    assert found.differing == ("answer", "verdict")


def test_errors_make_no_pair_and_nothing_again_is_no_check() -> None:
    error = record("a", AGAIN, "", None, Verdict.ENGINE_ERROR)
    found = repeat_check([record("a", AGENT, "x", "A"), error, record("only again", AGAIN, "x", "A")])
    assert found is not None
    assert found.n == 0
    assert repeat_check([record("a", AGENT, "x", "A")]) is None


def test_samples_are_spread_evenly() -> None:
    samples = [Sample(id=str(i), question="?") for i in range(10)]
    assert [sample.id for sample in evenly(samples, 3)] == ["0", "3", "6"]
    assert evenly(samples, 0) == []
    assert evenly(samples, 50) == samples


def run(cli: Cli, *options: object) -> tuple[str, Path]:
    """What was printed, and the run folder."""
    ended = cli("run", "--model", "metis-nano", "--tasks", "panel_probe", "--limit", 12, *options)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, Path(ended.stdout.split("report: ")[1].split()[0]).parent


def test_a_greedy_model_repeats_itself_and_a_hot_one_does_not(cli: Cli, tmp_path: Path) -> None:
    found = {}
    for name, options in (
        ("greedy", ()),
        ("hot", ("--temperature", 8)),
        ("hot, seeded", ("--temperature", 8, "--seed", 7)),
    ):
        _, folder = run(cli, "--repeat-check", 6, *options)
        summary = json.loads((tmp_path / folder / "summary.json").read_text())
        assert summary["done"] == summary["expected"] == 12, "what is asked again counts nowhere else"
        found[name] = summary["repeat"]
    assert found["greedy"]["n"] == found["greedy"]["same_text"] == 6
    assert found["hot, seeded"]["same_text"] == 6
    assert found["hot"]["same_text"] < 6


def test_a_check_added_later_runs_only_what_is_new(cli: Cli, tmp_path: Path) -> None:
    _, first = run(cli)
    shown, second = run(cli, "--repeat-check", 4)
    assert first == second
    lines = (tmp_path / first / "samples.jsonl").read_text().splitlines()
    assert [json.loads(line).get("arm", AGENT) for line in lines] == [AGENT] * 12 + [AGAIN] * 4
    assert "asked again: same answers" in shown
