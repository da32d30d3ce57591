"""`--stop-when-decided`: looks that do not depend on what finishes first, and the real command."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit import Record, Sample, Verdict
from evalkit.content import find_tasks, open_task, tasks_named
from evalkit.runs.arms import Job
from evalkit.runs.decided import Decider, Question, in_blocks, looks_at
from evalkit.runs.looks import FAILED, PASSED, EarlyStop
from tests.conftest import Cli
from tests.faults.test_kill_and_resume import wait_for_lines
from tests.run_folders import row

RULE = "accuracy:noninferior:5pt"


def question(ids: Iterable[str], margin: float = 0.05) -> Question:
    return Question(
        rule=RULE,
        value=lambda record: record.outcome.verdict is Verdict.CORRECT,
        baseline=dict.fromkeys(ids, True),
        upwards=False,
        fail_limit=0.0,
        pass_limit=-margin,
    )


def started(samples: list[Sample], margin: float = 0.05, errors: float = 0.01, looks: int = 10) -> Decider:
    ids = [sample.id for sample in samples]
    stop = EarlyStop(
        rules=(RULE,),
        baseline="b",
        baseline_digest="",
        verdicts="strict",
        fail_alpha=0.05,
        pass_alpha=0.025,
        spending="obrien-fleming",
        seed=0,
        planned=looks_at(samples, ids, looks),
    )
    return Decider(stop, [question(ids, margin)], samples, errors)


def records(samples: list[Sample], wrong: float = 0.0, seed: int = 1) -> dict[str, Record]:
    draw = random.Random(seed)
    return {s.id: row(s.id, draw.random() >= wrong, cluster=s.cluster) for s in samples}


def clustered(count: int, size: int = 1) -> list[Sample]:
    return [Sample(id=str(i), question="q", cluster=str(i // size) if size > 1 else "") for i in range(count)]


SAMPLES = st.lists(st.sampled_from(["", "a", "b", "c", "0", "1"]), max_size=30).map(
    lambda clusters: [Sample(id=str(i), question="q", cluster=c) for i, c in enumerate(clusters)]
)


@given(SAMPLES, st.integers(0, 9))
def test_an_order_is_random_and_keeps_clusters_together(samples: list[Sample], seed: int) -> None:
    order = in_blocks(samples, seed)
    assert sorted(s.id for s in order) == sorted(s.id for s in samples)
    assert order == in_blocks(samples, seed)
    blocks = [(cluster or id) for (cluster, id), _ in groupby(order, lambda s: (s.cluster, s.cluster or s.id))]
    named = [cluster for cluster, _ in groupby(order, lambda s: s.cluster) if cluster]
    assert len(named) == len(set(named)), "a cluster is in one piece"
    assert len(blocks) >= len(set(named))


def test_another_seed_gives_another_order() -> None:
    samples = clustered(100)
    orders = {tuple(s.id for s in in_blocks(samples, seed)) for seed in range(5)}
    assert len(orders) == 5
    assert tuple(s.id for s in samples) not in orders


@given(SAMPLES, st.integers(1, 12), st.data())
def test_looks_come_at_ends_of_clusters_and_the_last_one_at_the_end(
    samples: list[Sample], looks: int, data: st.DataObject
) -> None:
    samples = in_blocks(samples, 3)
    known = [s.id for s in samples if data.draw(st.booleans())]
    planned = looks_at(samples, known, looks)
    assert list(planned) == sorted(set(planned))
    assert len(planned) <= looks
    assert bool(planned) == bool(known)
    if planned:
        assert planned[-1] == len(samples)
    for rows in planned[:-1]:
        assert not samples[rows].cluster or samples[rows].cluster != samples[rows - 1].cluster


def test_looks_are_at_equal_parts_of_the_pairs() -> None:
    samples = clustered(200)
    assert looks_at(samples, [s.id for s in samples]) == tuple(range(20, 201, 20))
    assert looks_at(samples, [s.id for s in samples[:100]]) == (*range(10, 100, 10), 200)
    assert looks_at(clustered(200, size=4), [s.id for s in samples], 8) == (28, 52, 76, 100, 128, 152, 176, 200)


@given(st.randoms(use_true_random=False), st.sampled_from([0.0, 0.1, 0.5]))
@settings(max_examples=25)
def test_what_finishes_first_does_not_matter(order: random.Random, wrong: float) -> None:
    samples = in_blocks(clustered(120, size=3), 7)
    rows = records(samples, wrong)
    straight, shuffled = started(samples), started(samples)
    for sample in samples:
        straight.add(rows[sample.id])
        straight.look()
    finishing = list(rows.values())
    order.shuffle(finishing)
    for record in finishing:
        shuffled.add(record)
        shuffled.look()
    assert shuffled.stop.looks == straight.stop.looks


def test_a_look_waits_for_every_row_that_it_rests_on() -> None:
    samples = clustered(100)
    rows = records(samples, wrong=1.0)
    decider = started(samples)
    for sample in samples[1:]:
        decider.add(rows[sample.id])
        decider.look()
    assert not decider.stop.looks
    decider.add(rows["0"])
    decider.look()
    assert decider.stop.decision == FAILED
    assert decider.stop.looks[-1].rows < 100


def test_a_run_without_a_change_passes_and_one_that_lost_much_fails() -> None:
    samples = clustered(400)
    for wrong, margin, decision in ((0.0, 0.05, PASSED), (0.2, 0.05, FAILED)):
        decider = started(samples, margin)
        for record in records(samples, wrong).values():
            decider.add(record)
            decider.look()
        assert decider.stop.decision == decision
        assert len(decider.stop.looks) < 10
        assert RULE in decider.stop.why()
        assert f"look {len(decider.stop.looks)} of 10" in decider.stop.why()


def test_no_new_cluster_starts_once_it_is_decided() -> None:
    samples = clustered(100, size=5)
    rows = records(samples, wrong=1.0)
    decider = started(samples, looks=20)
    taken = []
    for job in decider.undecided([Job(sample) for sample in samples]):
        taken.append(job.sample)
        decider.add(rows[job.sample.id])
        if len(taken) % 5 == 2:
            # what is decided within a cluster does not cut it
            decider.look()
    assert decider.close()
    assert len(taken) % 5 == 0
    assert len(taken) < 100
    assert decider.stop.stopped_after == len(taken)
    assert "a random part of 100" in decider.stop.note
    assert [sample.id for sample in decider.rows({("3", "agent", 0): 1, ("99", "again", 0): 1})] == ["3"]


def test_a_look_with_too_many_errors_is_left_out_and_spends_nothing() -> None:
    samples = clustered(100)
    rows = records(samples)
    with_errors = started(samples, errors=0.1)
    without = started(samples, looks=10)
    for i, sample in enumerate(samples):
        failed = i < 3
        with_errors.add(row(sample.id, Verdict.ENGINE_ERROR) if failed else rows[sample.id])
        with_errors.look()
        without.add(rows[sample.id])
        without.look()
    assert [look.rows for look in without.stop.looks][:4] == [10, 20, 30, 40]
    assert [look.rows for look in with_errors.stop.looks][:3] == [30, 40, 50]
    assert with_errors.stop.looks[0].tested[0].pairs == 27
    # tried again and scored, they count at later looks; looks that were taken stay as they are
    before = list(with_errors.stop.looks)
    for i in range(3):
        with_errors.add(rows[str(i)])
        with_errors.look()
    assert with_errors.stop.looks[: len(before)] == before


def test_other_arms_and_repeats_say_nothing() -> None:
    samples = clustered(20)
    decider = started(samples)
    for sample in samples:
        decider.add(row(sample.id, arm="direct"))
        decider.add(row(sample.id, repeat=1))
        decider.look()
    assert not decider.stop.looks


def test_rules_are_decided_one_by_one_and_share_what_failures_may_err() -> None:
    samples = clustered(400)
    ids = [sample.id for sample in samples]
    tools = Question(
        rule="tool_rate:max:+5pt",
        value=lambda record: bool(record.trajectory.calls),
        baseline=dict.fromkeys(ids, False),
        upwards=True,
        fail_limit=0.05,
        pass_limit=0.05,
    )
    alone = started(samples)
    both = started(samples)
    both.stop.rules = (RULE, tools.rule)
    both._questions = [question(ids), tools]
    for i, sample in enumerate(samples):
        record = row(sample.id, calls=int(i % 4 == 0))
        for decider in (alone, both):
            decider.add(record)
            decider.look()
    assert alone.stop.decision == PASSED
    assert both.stop.decision == FAILED
    assert both.stop.decisions[tools.rule] == FAILED
    assert both.stop.looks[0].tested[0].fail_level < alone.stop.looks[0].tested[0].fail_level
    assert both.stop.looks[0].tested[0].pass_level == alone.stop.looks[0].tested[0].pass_level


# ---- the real command


BOARDS = 50
RUN = ("run", "--model", "scripted", "--tasks", "panel_probe", "-T", f"boards={BOARDS}", "-c", 8)
EARLY = ("--stop-when-decided", RULE, "--baseline", "base")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a baseline that is right on nine of ten, and scripts for other agents."""
    place = tmp_path_factory.mktemp("made")
    task = open_task(tasks_named("panel_probe", find_tasks(()))[0], None, None, {"boards": str(BOARDS)})
    samples = list(task.samples())
    for name, wrong, delay in (("base", 0.1, 0.0), ("bad", 0.5, 0.02), ("slow", 0.5, 0.05)):
        draw = random.Random(4)
        turns = {}
        for sample in samples:
            letter = sample.answer if draw.random() >= wrong else "ABCD"["ABCD".index(sample.answer) - 1]
            turns[sample.id] = [f"<reason>r</reason><answer>{letter}</answer>"]
        (place / f"{name}.json").write_text(json.dumps({"samples": turns, "delay_s": delay}))
    command = [sys.executable, "-m", "evalkit", *map(str, RUN), "--script", "base.json", "--run-dir", "base"]
    subprocess.run(command, cwd=place, check=True, capture_output=True)
    return place


@pytest.fixture
def base(tmp_path: Path, made: Path) -> Path:
    """The same in the test's own folder."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "base"


def info(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "run.json").read_text())
    return found


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("base")
def test_a_run_stops_when_its_loss_is_plain_and_goes_on_when_told(tmp_path: Path, cli: Cli) -> None:
    run = tmp_path / "r"
    command = (*RUN, "--script", "bad.json", "--run-dir", "r")
    said = cli(*command, *EARLY)
    assert said.returncode == 0, said.stderr
    assert f"decided: {RULE} failed against base at look" in said.stderr
    assert "missing" not in said.stdout
    assert "stopped early by its looks" in said.stdout
    assert "stopped early by its looks" in (run / "report.md").read_text()
    stop, rows = info(run)["early_stop"], lines(run)
    assert len(rows) == stop["stopped_after"] < 200
    assert stop["looks"][-1]["tested"][0]["decision"] == FAILED
    assert stop["planned"] == list(range(20, 201, 20))
    clusters = Counter(line["sample"]["cluster"] for line in rows)
    assert set(clusters.values()) == {4}, "clusters are whole"
    assert list(clusters) != sorted(clusters), "the order is not the benchmark's"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["expected"] == summary["done"] == len(rows)
    # the gate takes the recorded verdict, and knows that nothing is missing
    gate = cli("gate", "r", "--baseline", "base", "--fail", RULE)
    assert gate.returncode == 1, gate.stdout + gate.stderr
    assert "decided while it ran" in " ".join(gate.stdout.split())
    assert cli("gate", "r", "--baseline", "base", "--fail", "accuracy:noninferior:1pt").returncode == 4
    other = cli("gate", "base", "--baseline", "r", "--fail", RULE)
    assert other.returncode == 0, other.stderr
    assert "the baseline was stopped early by its looks" in " ".join(other.stdout.split())
    refused = cli("gate", "r", "--baseline", "r")
    assert refused.returncode == 2
    assert "stopped early, against another baseline (base)" in refused.stderr
    # asked again it does nothing
    again = cli(*command, *EARLY)
    assert again.returncode == 0, again.stderr
    assert "no new row is run" in again.stderr
    assert lines(run) == rows
    assert info(run)["early_stop"] == stop
    # without the option the rest runs, and the verdict stays what it was
    rest = cli(*command)
    assert rest.returncode == 0, rest.stderr
    assert len(lines(run)) == 200
    after = info(run)["early_stop"]
    assert (after["stopped_after"], after["went_on"]) == (None, True)
    assert "stopped early" not in (run / "report.md").read_text()
    assert cli("gate", "r", "--baseline", "base", "--fail", RULE).returncode == 1
    once_more = cli(*command, *EARLY)
    assert once_more.returncode == 2
    assert "has gone on since it was decided" in once_more.stderr


@pytest.mark.usefixtures("base")
def test_a_run_stops_when_nothing_can_have_been_lost(tmp_path: Path, cli: Cli) -> None:
    assert cli("baseline", "save", "base", "base.json.gz").returncode == 0
    rules = ("--stop-when-decided", "accuracy:noninferior:20pt", "--stop-when-decided", "tool_rate:max:+20pt")
    said = cli(*RUN, "--script", "base.json", "--run-dir", "r", *rules, "--baseline", "base.json.gz")
    assert said.returncode == 0, said.stderr
    stop = info(tmp_path / "r")["early_stop"]
    assert stop["stopped_after"] < 200
    options = ("--fail", "accuracy:noninferior:20pt", "--fail", "tool_rate:max:+20pt")
    # the run folder and the archive made of it are one baseline
    assert cli("gate", "r", "--baseline", "base", *options).returncode == 0
    assert cli("gate", "r", "--baseline", "base.json.gz", *options).returncode == 0


@pytest.mark.usefixtures("base")
def test_an_open_question_runs_to_the_end_and_is_looked_at_there(tmp_path: Path, cli: Cli) -> None:
    rule = "accuracy:noninferior:1pt"
    said = cli(*RUN, "--script", "base.json", "--run-dir", "r", "--stop-when-decided", rule, "--baseline", "base")
    assert said.returncode == 0, said.stderr
    assert "decided" not in said.stderr
    stop = info(tmp_path / "r")["early_stop"]
    assert [look["rows"] for look in stop["looks"]] == stop["planned"]
    assert stop["looks"][-1]["last"]
    assert stop["stopped_after"] is None
    gate = cli("gate", "r", "--baseline", "base", "--fail", rule)
    assert gate.returncode == 4
    assert "not decided at any of the 10 looks" in " ".join(gate.stdout.split())


@pytest.mark.usefixtures("base")
def test_killed_and_resumed_it_stops_where_it_would_have(tmp_path: Path, cli: Cli) -> None:
    command = (*RUN, "--script", "slow.json", *EARLY)
    whole = cli(*command, "--run-dir", "whole")
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen(
        [sys.executable, "-m", "evalkit", *map(str, command), "--run-dir", "r"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for_lines(tmp_path / "r" / "samples.jsonl", 25)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert info(tmp_path / "r")["early_stop"]["stopped_after"] is None, "killed too late to show anything"
    other = cli(*RUN, "--script", "slow.json", "--run-dir", "r", "--stop-when-decided", "accuracy:noninferior:4pt",
                "--baseline", "base")  # fmt: skip
    assert other.returncode == 2
    assert "was started with --stop-when-decided" in other.stderr
    again = cli(*command, "--run-dir", "r")
    assert again.returncode == 0, again.stderr
    ours, theirs = (info(tmp_path / name)["early_stop"] for name in ("r", "whole"))
    assert ours["looks"] == theirs["looks"]
    assert ours["seed"] == theirs["seed"]


@pytest.mark.usefixtures("base")
def test_the_other_arms_stop_with_the_agent(tmp_path: Path, cli: Cli) -> None:
    arms = ("--counterfactual", "--repeat-check", 5, "--isolated-latency", 3)
    said = cli(*RUN, "--script", "bad.json", "--run-dir", "r", *EARLY, *arms)
    assert said.returncode == 0, said.stdout + said.stderr
    rows = lines(tmp_path / "r")
    ids = {arm: {row["sample"]["id"] for row in rows if row.get("arm", "agent") == arm}
           for arm in ("agent", "direct", "again", "isolated")}  # fmt: skip
    assert len(ids["agent"]) < 200
    assert ids["direct"] == ids["agent"]
    assert ids["again"] | ids["isolated"] <= ids["agent"]
    assert (len(ids["again"]), len(ids["isolated"])) == (5, 3)


def test_a_run_in_the_benchmarks_order_cannot_stop_early(tmp_path: Path, base: Path, cli: Cli) -> None:
    said = cli(*RUN, "--script", "base.json", "--run-dir", "base", *EARLY)
    assert said.returncode == 2
    assert "benchmark's own order" in said.stderr
    assert len(said.stderr.strip().splitlines()) <= 2
    assert "early_stop" not in info(base) or info(base)["early_stop"] is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--stop-when-decided", RULE), "needs --baseline"),
        (("--baseline", "base"), "does nothing without --stop-when-decided"),
        (("--stop-when-decided", "latency_p95:max:+20%", "--baseline", "base"), "no yes or no per sample"),
        (("--stop-when-decided", "accuracy:min:0.8", "--baseline", "base"), "distance from the baseline"),
        (("--stop-when-decided", "tool_rate:max:+20%", "--baseline", "base"), "distance from the baseline"),
        (("--stop-when-decided", "acuracy:noninferior:1pt", "--baseline", "base"), "nearest: accuracy"),
        (("--stop-when-decided", "accuracy", "--baseline", "base"), "metric:kind:limit"),
        (("--stop-when-decided", RULE, "--baseline", "nowhere"), "no such run folder"),
        (("--stop-when-decided", RULE, "--baseline", "published:Metis-8B"), "no samples"),
        (("--stop-when-decided", RULE, "--baseline", "letters"), "the tasks differ"),
        (("--stop-when-decided", RULE, "--baseline", "other"), "another question"),
        (("--stop-when-decided", RULE, "--baseline", "base", "--repeats", "2"), "leave out --repeats"),
        (
            (*EARLY, "--stop-when-decided", "accuracy:noninferior:2pt"),
            "contradict each other",
        ),
    ],
)
def test_what_cannot_be_decided_is_refused_in_one_line_before_anything_runs(
    tmp_path: Path, cli: Cli, options: tuple[str, ...], said: str
) -> None:
    from tests.run_folders import write_run

    panel = {"name": "panel_probe", "version": open_task(
        tasks_named("panel_probe", find_tasks(()))[0], None, None, {"boards": "2"}).version}  # fmt: skip
    task = open_task(tasks_named("panel_probe", find_tasks(()))[0], None, None, {"boards": "2"})
    ids = [sample.id for sample in task.samples()]
    panel["options"] = dict(task.settings)
    write_run(tmp_path / "base", [row(id) for id in ids], task=panel)
    write_run(tmp_path / "letters", [row(id) for id in ids])
    write_run(tmp_path / "other", [row(id, question="What else?") for id in ids], task=panel)
    (tmp_path / "s.json").write_text("{}")
    found = cli(
        "run", "--model", "scripted", "--tasks", "panel_probe", "-T", "boards=2", "--script", "s.json", *options
    )
    assert found.returncode == 2, found.stdout + found.stderr
    assert said in found.stderr
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "runs").exists()
