"""From run folders to a data set of prompts: every filter, the judge, and what cannot be used."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from evalkit import Verdict
from evalkit.curation.benchmarks import Against
from evalkit.curation.mix import MixSettings
from evalkit.curation.report import Report
from evalkit.curation.rl import RlSettings, curate_rl
from evalkit.errors import DataError, EvalkitError, NothingEvaluatedError
from evalkit.images import ImageFile
from evalkit.records import Record
from evalkit.runs.judges import JudgeSettings
from tests.engines.openai_server import said
from tests.judges import judge_server
from tests.pictures import encoded, image_file, picture
from tests.run_folders import row, write_run


def rollouts(id: str, verdicts: list[bool | Verdict], image: ImageFile | None, **more: Any) -> list[Record]:
    images = (image,) if image else ()
    return [row(id, right, repeat=k, images=images, calls=k % 2, **more) for k, right in enumerate(verdicts)]


MIX: list[bool | Verdict] = [True, False, False, True]


def run(tmp_path: Path, *groups: list[Record]) -> Path:
    return write_run(tmp_path / "run", [record for group in groups for record in group])


def fates(out: Path) -> dict[str, tuple[str, str]]:
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    return {row["id"]: (row.get("step", "kept"), row.get("reason", "")) for row in rows}


def steps(report: Report) -> list[tuple[str, int, int, int]]:
    return [(step.name, step.kept, step.dropped, sum(step.errors.values())) for step in report.steps]


def test_each_filter_takes_what_it_is_for_and_the_rest_is_a_data_set(tmp_path: Path) -> None:
    import datasets

    cut = image_file(picture(7), "cut")
    folder = run(
        tmp_path,
        rollouts("good", MIX, image_file(picture(1)), choices={"A": "a", "B": "b"}, category="kind"),
        rollouts("easy", [True] * 4, image_file(picture(2))),
        rollouts("hard", [False] * 4, image_file(picture(3))),
        rollouts("failed", [True, True, True, Verdict.SANDBOX_ERROR], image_file(picture(4))),
        rollouts("again", MIX, image_file(picture(1), form="JPEG", quality=50)),
        rollouts("cut", MIX, cut),
        rollouts("gone", MIX, image_file(picture(8), "gone")),
        rollouts("bare", MIX, None),
    )
    broken = folder / "images" / cut.header.filename
    broken.write_bytes(broken.read_bytes()[:500])
    (folder / "images" / image_file(picture(8)).header.filename).unlink()

    report = curate_rl([folder], tmp_path / "out", RlSettings())
    assert fates(tmp_path / "out") == {
        "cut": ("usable images", "image_changed"),
        "gone": ("usable images", "image_missing"),
        "easy": ("mixed rollouts", "all_right"),
        "hard": ("mixed rollouts", "all_wrong"),
        "failed": ("mixed rollouts", "incomplete_group"),
        "again": ("near-duplicates", "same_picture"),
        "good": ("kept", ""),
        "bare": ("kept", ""),
    }
    assert steps(report) == [("usable images", 6, 0, 2), ("mixed rollouts", 3, 2, 1), ("near-duplicates", 2, 1, 0)]
    assert report.sources[0].rows == 32
    page = (tmp_path / "out" / "report.md").read_text()
    assert "| 2 of 4 | 3 | 2 | █" in page
    assert "1 of 8 prompts have no image" in page
    assert "compared with no benchmark" in page

    data = datasets.load_dataset("parquet", data_files=str(tmp_path / "out/data/*.parquet"), split="train")
    assert data["id"] == ["numbers/good", "numbers/bare"]
    good = data[0]
    assert (good["answer"], good["right"], good["scored"], good["calls"]) == ("A", 2, 4, 0.5)
    assert json.loads(good["choices"]) == {"A": "a", "B": "b"}
    assert [part["type"] for part in good["prompt"][-1]["content"]] == ["image", "text"]
    assert isinstance(good["images"][0], Image.Image)
    assert {message["role"] for message in good["prompt"]} <= {"system", "user"}


def test_an_image_that_was_cut_before_the_run_recorded_it_is_dropped(tmp_path: Path) -> None:
    # its ends are whole, and so a header can be read; only decoding tells
    data = encoded(picture(1))
    cut = ImageFile.from_bytes(data[: len(data) // 2] + data[-12:], "cut")
    folder = run(tmp_path, rollouts("cut", MIX, cut), rollouts("good", MIX, image_file(picture(2))))
    report = curate_rl([folder], tmp_path / "out", RlSettings())
    assert report.steps[0].reasons == {"image_truncated": 1}
    assert fates(tmp_path / "out")["cut"] == ("usable images", "image_truncated")


def test_what_a_benchmark_has_too_is_dropped_and_named(tmp_path: Path) -> None:
    from evalkit.content import find_tasks, open_task

    board = next(iter(open_task(find_tasks()["panel_probe"]).samples())).images[0]
    again = image_file(board.open(), form="JPEG", quality=70)
    folder = run(tmp_path, rollouts("leak", MIX, again), rollouts("good", MIX, image_file(picture(2))))
    against = Against(name="panel_probe", options={"boards": "2"})
    report = curate_rl([folder], tmp_path / "out", RlSettings(against=(against,)))
    assert fates(tmp_path / "out")["leak"] == ("leakage", "same_picture")
    assert report.dataset is not None
    assert report.dataset.rows == 1
    page = (tmp_path / "out" / "report.md").read_text()
    assert "| numbers/leak | panel\\_probe | 1000000-0 | same\\_picture (" in page


MARKS = {"reference": 2, "sufficiency": 2, "one_answer": 2, "answer_form": 2}


def judge(body: dict[str, Any]) -> Any:
    """Finds fault with one question, cannot read another's reply, and says of the third that it is clear."""
    parts = body["messages"][1]["content"]
    text = parts if isinstance(parts, str) else "".join(part.get("text", "") for part in parts)
    if "What is odd?" in text:
        return said("I would rather not say.")
    marks = {**MARKS, "one_answer": 0} if "What is vague?" in text else MARKS
    return said(json.dumps({**marks, "why": "so it is"}))


@pytest.mark.parametrize("sees", [True, False])
def test_a_judge_drops_ambiguous_prompts_and_its_failure_is_an_error(tmp_path: Path, sees: bool) -> None:
    ids = ["vague", "odd", "good"]
    folder = run(tmp_path, *(rollouts(id, MIX, image_file(picture(k))) for k, id in enumerate(ids)))
    with judge_server(judge) as server:
        settings = JudgeSettings(url=server.url, cache=tmp_path / "judge.sqlite")
        report = curate_rl([folder], tmp_path / "out", RlSettings(judge=settings, judge_sees=sees))
        shown = {b"image_url" in body for body in server.bodies}
    assert shown == {sees}
    assert report.steps[-1].name == "ambiguous prompts"
    assert report.steps[-1].reasons == {"unclear_one_answer": 1}
    assert report.steps[-1].errors == {"judge_unparsable": 1}
    assert fates(tmp_path / "out")["odd"] == ("ambiguous prompts", "judge_unparsable")
    assert report.settings["judge"]["model"]
    assert report.settings["rubric"]["name"] == "clear_prompt"
    assert ("the judge of ambiguous prompts saw no pictures" in report.notes) is not sees


def test_a_judge_that_is_not_there_is_refused(tmp_path: Path) -> None:
    folder = run(tmp_path, rollouts("1", MIX, image_file(picture(1))))
    settings = JudgeSettings(url="http://127.0.0.1:9/v1", cache=tmp_path / "judge.sqlite")
    for image in (folder / "images").iterdir():
        image.unlink()
    # before anything is looked at
    with pytest.raises(EvalkitError, match=r"--judge-url: .*127\.0\.0\.1:9"):
        curate_rl([folder], tmp_path / "out", RlSettings(judge=settings))
    assert not (tmp_path / "out").exists()


def test_when_nothing_is_left_the_report_says_so(tmp_path: Path) -> None:
    folder = run(tmp_path, rollouts("1", [True] * 4, image_file(picture(1))))
    report = curate_rl([folder], tmp_path / "out", RlSettings())
    assert report.dataset is not None
    assert report.dataset.rows == 0
    assert "The data set has no rows." in (tmp_path / "out" / "report.md").read_text()


def test_runs_whose_images_are_gone_are_refused(tmp_path: Path) -> None:
    import shutil

    folder = run(tmp_path, rollouts("1", MIX, image_file(picture(1))))
    shutil.rmtree(folder / "images")
    with pytest.raises(DataError, match=r"none of the 1 images of the runs is there .* put the runs' images/ folders"):
        curate_rl([folder], tmp_path / "out", RlSettings())


def test_an_empty_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NothingEvaluatedError, match="has no trajectories yet"):
        curate_rl([run(tmp_path)], tmp_path / "out", RlSettings())


def test_a_run_without_repeats_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    folder = run(tmp_path, rollouts("1", [True], image_file(picture(1))))
    with pytest.raises(EvalkitError, match="--repeats 8 --temperature 1"):
        curate_rl([folder], tmp_path / "out", RlSettings())
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_in_it_is_not_written_to(tmp_path: Path) -> None:
    folder = run(tmp_path, rollouts("1", MIX, image_file(picture(1))))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(EvalkitError, match="not empty"):
        curate_rl([folder], tmp_path / "out", RlSettings())


def test_limits_of_the_mix_are_in_the_report(tmp_path: Path) -> None:
    folder = run(tmp_path, rollouts("1", [True, True, True, False], image_file(picture(1))))
    settings = RlSettings(mix=MixSettings(above=0.2, below=0.6))
    report = curate_rl([folder], tmp_path / "out", settings)
    assert report.steps[1].reasons == {"too_easy": 1}
    assert report.settings["mix"] == {"above": 0.2, "below": 0.6, "group": 4, "rule": "strict"}
