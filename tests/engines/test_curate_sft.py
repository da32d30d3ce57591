"""`evalkit curate sft` from end to end: real runs of the shipped agent, forged ones, and a judge's server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.cli import main
from evalkit.curation.sft import SftSettings, curate_sft
from evalkit.errors import EvalkitError, NothingEvaluatedError
from evalkit.runs.folder import read_info
from evalkit.runs.store import latest_records
from tests.conftest import Cli
from tests.engines.openai_server import said
from tests.judges import judge_server
from tests.trajectories import Call, direct, trajectory, write

MARKS = {"visual_relevance": 3, "coherence": 3, "rationale": 2, "why": "to the point"}


def forged(folder: Path) -> Path:
    """A run in which one trajectory falls to each filter, and two stay."""
    hard = [True] * 7 + [False]
    records = [
        trajectory("good", [Call("print(6 * 7)", "42\n")]),
        trajectory("fair", [Call("w = 3", "The code ran and printed nothing."), Call("print(w)", "3\n")]),
        trajectory("wrong", [Call("print(1)", "1\n")], right=False),
        trajectory("made up", [Call("print(1)", "2\n")]),
        trajectory("fails", [Call("1 / 0", "0\n")]),
        trajectory("easy", [Call("print(1)", "1\n")]),
        trajectory("aimless", [Call("print(1)", "1\n")]),
    ]
    for record in records:
        records_of = direct(record.sample.id, [True] * 8 if record.sample.id == "easy" else hard)
        records = [*records, *records_of]
    return write(folder, records)


def reply(body: dict[str, Any]) -> Any:
    parts = body["messages"][1]["content"]
    text = parts if isinstance(parts, str) else "".join(part.get("text", "") for part in parts)
    if "What is in aimless?" in text:
        return said(json.dumps({**MARKS, "visual_relevance": 0}))
    return said(json.dumps(MARKS))


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_filter_takes_its_own(tmp_path: Path, cli: Cli) -> None:
    run = forged(tmp_path / "run")
    with judge_server(reply) as server:
        done = cli("curate", "sft", run, "--out", "out", "--judge-url", server.url)
    assert done.returncode == 0, done.stderr
    assert "2 of 7 trajectories kept" in done.stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    steps = {step["name"]: step for step in report["steps"]}
    assert list(steps) == ["whole", "replay", "necessity", "strategy"]
    assert steps["whole"]["reasons"] == {"wrong_answer": 1}
    assert steps["replay"]["reasons"] == {"text_differs": 1, "code_fails": 1}
    assert steps["necessity"]["reasons"] == {"solved_without_tools": 1}
    assert steps["strategy"]["reasons"] == {"weak_visual_relevance": 1}
    assert [step["kept"] for step in report["steps"]] == [6, 4, 3, 2]
    assert report["settings"]["rubric"]["name"] == "strategic_tool_use"
    assert len(report["settings"]["rubric"]["hash"]) == 16
    assert report["settings"]["judge"]["model"] == "m"
    assert report["settings"]["judge"]["counts"]["asked"] == 3
    assert report["settings"]["sandbox"]["kind"] == "local"
    assert any("drawn at temperature 0" in note for note in report["notes"])
    fates = {fate["id"]: fate for fate in lines(tmp_path / "out" / "rows.jsonl")}
    assert len(fates) == 7
    assert {id for id, fate in fates.items() if not fate.get("step")} == {"good", "fair"}
    assert fates["good"]["found"]["marks"] == {name: mark for name, mark in MARKS.items() if name != "why"}
    assert fates["made up"]["detail"] == "call 1: recorded '2', really '1'"

    datasets = pytest.importorskip("datasets")
    data = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert sorted(data["sample"]) == ["fair", "good"]
    [good] = [row for row in data if row["sample"] == "good"]
    assert good["messages"][-1]["content"] == [{"type": "text", "text": "<think>so it is</think><answer>A</answer>"}]
    assert good["messages"][2]["content"] == [{"type": "text", "text": "42\n"}]
    assert good["images"][0].size == (120, 80)
    assert (good["direct_right"], good["direct_tries"], good["replay"], good["calls"]) == (7, 8, "exact", 1)
    assert json.loads(good["marks"])["rationale"] == 2

    kept = tmp_path / "out" / "runs" / "run"
    records = latest_records(kept)
    before = latest_records(run)
    assert records.keys() == {("good", "agent", 0), ("fair", "agent", 0)}
    assert all(record.trajectory == before[key].trajectory for key, record in records.items())
    assert all(image.path and image.path.is_file() for record in records.values() for image in record.sample.images)
    info = read_info(kept)
    assert info.config["curated"]["from"] == read_info(run).config_hash != info.config_hash
    assert cli("show", kept).returncode == 0


def test_a_judge_that_is_down_makes_errors_and_no_data(tmp_path: Path, cli: Cli) -> None:
    run = forged(tmp_path / "run")
    with judge_server(lambda body: said("I cannot say.")) as server:
        done = cli("curate", "sft", run, "--out", "out", "--judge-url", server.url)
    assert done.returncode == 3
    assert "a filter could not judge 3 of 7 trajectories" in done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["steps"][-1]["errors"] == {"judge_unparsable": 3}
    assert (report["steps"][-1]["kept"], report["steps"][-1]["dropped"]) == (0, 0)
    assert not (tmp_path / "out" / "data").exists()
    # nothing is promised that is not there
    assert not (tmp_path / "out" / "runs").exists()
    assert "runs/" not in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        ((), 2, "name its server with --judge-url, or --skip strategy"),
        (("--skip", "replay"), 2, "--skip replay: only necessity and strategy can be left out"),
        (("--skip", "strategy", "--direct", "nothing"), 2, "nothing is not a run folder"),
        (("--skip", "strategy", "--direct-tries", "9"), 2, "at most 8 direct tries a sample, 9 are needed"),
        (("--skip", "strategy", "--rubric", "r.yaml"), 2, "--rubric goes with --judge-url"),
        (("--judge-url", "http://127.0.0.1:9/v1", "--rubric", "r.yaml"), 2, "cannot read rubric r.yaml"),
        (("--skip", "strategy", "--judge-model", "x"), 2, "goes with --judge-url"),
    ],
)
def test_what_is_of_no_use_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, why: str
) -> None:
    run = forged(tmp_path / "run")
    assert main(["curate", "sft", str(run), "--out", str(tmp_path / "out"), *arguments]) == code
    said = capsys.readouterr().err
    assert why in said
    assert said.count("error: ") == 1
    assert not (tmp_path / "out").exists()


def test_folders_of_no_use(tmp_path: Path) -> None:
    settings = SftSettings(skip=("strategy", "necessity"))
    with pytest.raises(EvalkitError, match="is not a run folder"):
        curate_sft([tmp_path / "x"], tmp_path / "out", settings)
    run = forged(tmp_path / "run")
    with pytest.raises(EvalkitError, match="is there already and not empty"):
        curate_sft([run], tmp_path, settings)
    only = write(tmp_path / "only", direct("a", [True]))
    with pytest.raises(NothingEvaluatedError, match="no trajectory of an agent"):
        curate_sft([only], tmp_path / "out", settings)


def test_images_that_are_gone_are_errors(tmp_path: Path, cli: Cli) -> None:
    run = forged(tmp_path / "run")
    for image in (run / "images").iterdir():
        image.unlink()
    done = cli("curate", "sft", run, "--out", "out", "--skip", "strategy", "--skip", "necessity")
    assert done.returncode == 3
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["steps"][-1]["errors"] == {"image_gone": 6}
    assert "the filter necessity was left out" in (tmp_path / "out" / "report.md").read_text()


def test_the_shipped_agent_replays_exactly(tmp_path: Path, cli: Cli) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    made = cli("run", "--model", "metis-nano-sft", "--tasks", "panel_probe", "--limit", "20", "--run-dir", "r")
    assert made.returncode == 0, made.stderr
    right = sum(row["outcome"]["verdict"] == "correct" for row in lines(tmp_path / "r" / "samples.jsonl"))
    report = curate_sft([tmp_path / "r"], tmp_path / "out", SftSettings(skip=("necessity", "strategy")))
    assert [step.kept for step in report.steps] == [right, right]
    kept = [fate for fate in lines(tmp_path / "out" / "rows.jsonl") if not fate.get("step")]
    assert {fate["found"]["replay"] for fate in kept} == {"exact"}
    assert report.dataset is not None
    assert (report.dataset.rows, report.dataset.images) == (right, 2 * right)
    # one recorded crop in another's place is found out
    file = tmp_path / "r" / "samples.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    crops = [row["trajectory"]["turns"][0]["observations"][0]["images"] for row in rows]
    first = next(i for i, row in enumerate(rows) if row["outcome"]["verdict"] == "correct")
    other = next(images for images in crops if images != crops[first])
    rows[first]["trajectory"]["turns"][0]["observations"][0]["images"] = other
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    again = curate_sft([tmp_path / "r"], tmp_path / "again", SftSettings(skip=("necessity", "strategy")))
    assert again.steps[1].reasons == {"image_differs": 1}
