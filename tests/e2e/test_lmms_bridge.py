"""lmms-eval's tasks in evalkit, against lmms-eval itself: the same responses give the same figures.

Run by `nox -s e2e`, which sets EVALKIT_E2E_LMMS to a Python that has lmms-eval 0.7.3 and evalkit.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit.bridges.lmms.install import INCLUDE, PYTHON, installed
from evalkit.bridges.lmms.listing import cache_folder
from evalkit.bridges.lmms.logs import read_samples, write_samples
from evalkit.records import DIRECT
from tests.conftest import Cli
from tests.e2e.lmms_local import ROWS, TASKS, make, responses, write_responses
from tests.e2e.lmms_replayer import plug_in

LMMS = os.environ.get("EVALKIT_E2E_LMMS")
pytestmark = [
    pytest.mark.skipif(LMMS is None, reason="EVALKIT_E2E_LMMS names no Python with lmms-eval (nox -s e2e sets it)"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module", autouse=True)
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Local data sets and tasks that read them, known to this process and to those it starts."""
    folder = tmp_path_factory.mktemp("lmms")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PYTHON, LMMS or "")
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        make(folder, installed().folder)
        _odd_tasks(folder / "tasks")
        patch.setenv(INCLUDE, str(folder / "tasks"))
        write_responses(folder / "responses.json")
        plug_in(folder / "plugin")
        yield folder


def _odd_tasks(folder: Path) -> None:
    """Tasks that cannot be run, each for a reason of its own, by lmms-eval's `chartqa`."""
    base = json.loads((folder / "local_chartqa.yaml").read_text("utf-8"))
    (folder / "odd.py").write_text(_ODD, "utf-8")
    for name in ("key", "broken", "deadly", "many", "unscored", "guess"):
        lines = [f"include: {folder}/local_chartqa.yaml", f"task: odd_{name}", f"process_results: !function odd.{name}"]
        (folder / f"odd_{name}.yaml").write_text("\n".join(lines), "utf-8")
    shown = "doc_to_visual: !function odd.video"
    (folder / "odd_video.yaml").write_text(f"include: {folder}/local_chartqa.yaml\ntask: odd_video\n{shown}", "utf-8")
    away = {**base, "task": "odd_away", "dataset_path": "nobody/nothing", "dataset_kwargs": {"token": True}}
    (folder / "odd_away.yaml").write_text(json.dumps(away), "utf-8")


_ODD = """
import os, random, time, urllib.request

def key(doc, results):
    for _ in range(5):
        try:
            urllib.request.urlopen("https://judge.example.com/v1")
        except Exception:
            time.sleep(100)
    return {"relaxed_overall": 0.0}

def broken(doc, results):
    raise KeyError("no such column")

def deadly(doc, results):
    if results[0] == "die":
        print("about to go", flush=True)
        os._exit(3)
    return {"relaxed_overall": 1.0}

def guess(doc, results):
    return {"relaxed_overall": float(results[0] == "right" or random.random() < 2)}

def many(doc, results):
    return {"relaxed_overall": 37.5}

def unscored(doc, results):
    return {"submission": {"id": "x"}}

def video(doc):
    return ["/somewhere/clip.mp4"]
"""


def lmms_eval(local: Path, *arguments: str) -> str:
    """The output of the real command."""
    assert LMMS is not None
    command = [LMMS, "-m", "lmms_eval", "--include_path", str(local / "tasks"), *arguments]
    # MMMU's scorer goes through sets
    variables = {**os.environ, "PYTHONHASHSEED": "0"}
    variables |= {"PYTHONPATH": os.pathsep.join([str(local / "plugin"), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        command, cwd=local, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


def results_in(folder: Path) -> dict[str, Any]:
    """What the run that wrote its results there came to."""
    (file,) = folder.rglob("*_results.json")
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def log_in(folder: Path, task: str) -> Path:
    (file,) = folder.rglob(f"*_samples_{task}.jsonl")
    return file


@pytest.fixture(scope="module")
def theirs(local: Path) -> Path:
    """What lmms-eval makes of the responses."""
    out = local / "theirs"
    names = ",".join(f"local_{name}" for name in TASKS)
    file = local / "responses.json"
    model = ("--model", "replayer", "--model_args", f"file={file}")
    lmms_eval(local, *model, "--tasks", names, "--log_samples", "--output_path", str(out))
    return out


def replayed(local: Path, name: str) -> evalkit.Run:
    """The same responses through evalkit's loop."""
    script = local / f"{name}.script.json"
    script.write_text(json.dumps({"samples": {str(i): [text] for i, text in enumerate(responses(name))}}), "utf-8")
    options = {"engine": "scripted", "protocol": "direct", "script": script, "out": local / "runs"}
    (run,) = evalkit.run(model="metis", tasks=f"lmms:local_{name}", **options)
    return run


@pytest.mark.parametrize("name", TASKS)
def test_the_same_responses_give_the_same_figures(local: Path, theirs: Path, name: str) -> None:
    run = replayed(local, name)
    expected = {
        key.removesuffix(",none"): value
        for key, value in results_in(theirs)["results"][f"local_{name}"].items()
        # a metric without an aggregation has an empty list
        if key.endswith(",none") and "_stderr" not in key and isinstance(value, float | int)
    }
    found = {metric.name: metric.value for metric in run.summary.metrics}
    assert found == pytest.approx(expected, abs=1e-12)
    assert all(metric.n for metric in run.summary.metrics)
    for line in log_in(theirs, f"local_{name}").read_text("utf-8").splitlines():
        row = json.loads(line)
        mine = run.records[row["doc_id"]].outcome.scores
        assert mine == {metric: row[metric] for metric in mine}
        assert run.records[row["doc_id"]].sample.question == row["input"]


@pytest.mark.parametrize("name", ["chartqa", "pope"])
def test_a_group_of_plain_marks_is_right_and_wrong(local: Path, theirs: Path, name: str) -> None:
    main = {"chartqa": "relaxed_overall", "pope": "pope_accuracy"}[name]
    share = results_in(theirs)["results"][f"local_{name}"][f"{main},none"]
    assert replayed(local, name).summary.accuracy.value == pytest.approx(share)


def test_images_are_the_data_sets_own_bytes_where_the_task_shows_them_as_they_are(local: Path) -> None:
    run = replayed(local, "pope")
    from tests.e2e.lmms_local import picture

    assert [record.sample.images[0].read() for record in run.records] == [picture(i // 6)["bytes"] for i in range(ROWS)]
    assert len({record.sample.cluster for record in run.records}) == ROWS // 6


def test_images_within_the_text_keep_their_places(local: Path) -> None:
    sample = replayed(local, "mmmu_val").records[1].sample
    assert len(sample.images) == 2
    assert "<image 1>" in sample.question
    assert "<image 2>" in sample.question
    assert sample.choices == {"A": "red", "B": "blue", "C": "green", "D": "none"}


def test_analyses_with_and_without_tools(local: Path) -> None:
    call = '<tool_call>{"name": "python", "arguments": {"code": "print(image_1.size)"}}</tool_call>'
    script = local / "tools.script.json"
    script.write_text(json.dumps({"default": [call, "<answer>B</answer>"]}), "utf-8")
    options: dict[str, Any] = {"engine": "scripted", "script": script, "out": local / "runs", "counterfactual": True}
    (run,) = evalkit.run(model="metis", tasks="lmms:local_vstar_bench", limit=8, **options)
    assert run.summary.tools.tool_rate.value == 1
    assert run.summary.accuracy.value == 0.25
    assert sum(record.arm == DIRECT for record in run.records) == 8
    assert run.summary.need is not None
    assert run.table["verdict"].value_counts()["correct"] == 2


def test_data_of_ones_own_in_the_place_of_the_hubs(local: Path, cli: Cli) -> None:
    script = local / "b.script.json"
    script.write_text(json.dumps({"default": ["<answer>B</answer>"]}), "utf-8")
    arguments = ("run", "--model", "metis", "--engine", "scripted", "--protocol", "direct", "--script", script)
    done = cli(*arguments, "--tasks", "lmms:mmstar", "--data", local / "data" / "mmstar", "--limit", "4")
    assert done.returncode == 0, done.stderr
    assert "4 of 4 rows" in done.stdout


REFUSED = {
    "vcr_wiki_en_easy_nothing": "unknown lmms-eval task",
    "seedbench_ppl": "it is of kind multiple_choice",
    "odd_key": "its scorer asks judge.example.com, and no API key is set",
    "odd_away": "its data set nobody/nothing is not to be had",
    "odd_video": "it shows video, and evalkit shows images alone",
    "odd_unscored": "none of its metrics has a number for a row alone",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_task_that_cannot_be_run_is_one_line(local: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if "API_KEY" in name]:
        monkeypatch.delenv(variable)
    with pytest.raises(evalkit.EvalkitError) as failed:
        _answer_b(local, f"lmms:{name}")
    assert REFUSED[name] in str(failed.value)
    assert "\n" not in str(failed.value)


def _answer_b(local: Path, tasks: str, *texts: str) -> list[evalkit.Run]:
    script = local / "answers.script.json"
    script.write_text(json.dumps({"samples": {str(i): [text] for i, text in enumerate(texts)}, "default": ["B"]}))
    options: dict[str, Any] = {"engine": "scripted", "protocol": "direct", "script": script, "fresh": True}
    return evalkit.run(model="metis", tasks=tasks, out=local / "runs", limit=6, **options)


def test_a_task_that_cannot_be_run_costs_no_other(local: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (run,) = _answer_b(local, "lmms:odd_away,lmms:local_vstar_bench")
    assert run.task == "lmms:local_vstar_bench"
    assert "task lmms:odd_away cannot be loaded" in capfd.readouterr().err


def test_a_scorer_that_fails_is_an_error_and_no_wrong_answer(local: Path) -> None:
    (run,) = _answer_b(local, "lmms:odd_broken")
    assert run.code is evalkit.ExitCode.INFRASTRUCTURE
    assert {record.outcome.verdict for record in run.records} == {evalkit.Verdict.JUDGE_ERROR}
    assert "KeyError: 'no such column'" in run.records[0].outcome.error


def test_a_score_beyond_one_is_no_share_of_right_ones(local: Path) -> None:
    (run,) = _answer_b(local, "lmms:odd_many")
    assert "is 37.5 here" in run.records[0].outcome.error


def test_a_scorer_that_guesses_gives_no_answer(local: Path) -> None:
    (run,) = _answer_b(local, "lmms:odd_guess", "right", "something")
    first, second, *_ = (record.outcome for record in run.records)
    assert first.verdict is evalkit.Verdict.CORRECT
    assert (second.verdict, second.reason, second.answer) == (evalkit.Verdict.UNPARSED, "guessed", None)


def test_a_process_that_dies_costs_the_row_it_died_of(local: Path) -> None:
    (run,) = _answer_b(local, "lmms:odd_deadly", "B", "die", "C")
    dead = run.records[1].outcome
    assert dead.verdict is evalkit.Verdict.JUDGE_ERROR
    assert "lmms-eval's process died: it ended with status 3; its last words: about to go" in dead.error
    assert [record.outcome.verdict for record in run.records].count(evalkit.Verdict.CORRECT) == 5


def test_a_report_of_its_runs_needs_no_lmms_eval(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = replayed(local, "chartqa").folder
    monkeypatch.delenv(PYTHON)
    monkeypatch.setenv("XDG_CACHE_HOME", str(local / "another"))
    found = {metric.name: metric for metric in evalkit.load_run(folder).summary.metrics}
    assert found["relaxed_overall"].value == pytest.approx(10 / ROWS)
    assert "lmms-eval is not installed" in found["relaxed_overall"].note


def test_tasks_are_listed_from_the_disk_the_second_time(local: Path, cli: Cli) -> None:
    first = cli("tasks", "--source", "lmms")
    assert first.returncode == 0, first.stderr
    assert "lmms:mmstar " in first.stdout
    assert "lmms:local_mmstar " in first.stdout
    (kept,) = cache_folder().glob("tasks-*.json")
    kept.write_bytes(kept.read_bytes().replace(b"Lin-Chen/MMStar", b"from-the-disk"))
    assert "from-the-disk" in cli("tasks", "--source", "lmms").stdout
    kept.unlink()


def test_a_runs_log_is_a_baseline_for_lmms_eval(local: Path, tmp_path: Path) -> None:
    run = replayed(local, "mme")
    file = tmp_path / "base.jsonl"
    write_samples(run.folder, file)
    model = ("--model", "replayer", "--model_args", f"file={local / 'responses.json'}")
    lmms_eval(
        local,
        *model,
        "--tasks",
        "local_mme",
        "--log_samples",
        "--baseline",
        str(file),
        "--output_path",
        str(tmp_path / "out"),
    )
    results = results_in(tmp_path / "out")["results"]["local_mme"]
    share = run.summary.accuracy.value
    assert share is not None
    assert results["paired_baseline_score"] == pytest.approx(100 * share)
    # against itself nothing differs
    assert results["paired_ci_lower"] == results["paired_ci_upper"] == 0


@pytest.mark.parametrize("name", ["mmstar", "mme"])
def test_lmms_evals_own_log_is_read_with_its_verdicts(theirs: Path, name: str) -> None:
    file = log_in(theirs, f"local_{name}")
    log = read_samples(file)
    records = list(log.records)
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    marks = [next(item["score"] for item in line.values() if isinstance(item, dict)) for line in lines]
    assert [record.outcome.right() for record in records] == [mark == 1 for mark in marks]
    assert [record.trajectory.response for record in records] == list(responses(name))
    assert log.model == "replayer"
