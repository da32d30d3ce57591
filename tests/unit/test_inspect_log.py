"""Inspect's logs out and in again: with Inspect itself, which `[dev]` does not bring (`nox -s e2e` does)."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from evalkit import CallStatus, Observation, Outcome, Record, StopReason, ToolCall, Verdict
from evalkit.bridges.imported import write_imported
from evalkit.cli import main
from evalkit.errors import EvalkitError
from evalkit.images import encode_hook
from evalkit.records import DIRECT, Turn
from evalkit.runs.folder import read_info
from evalkit.runs.store import latest_records
from tests.inspect_rows import NASTY, image, looked, trajectory
from tests.run_folders import row, write_run

pytest.importorskip("inspect_ai", reason="inspect_ai is not installed (pip install 'evalkit[inspect]')")


def export(folder: Path, out: Path, *options: str) -> None:
    assert main(["export", str(folder), "--format", "inspect", "--out", str(out), *options]) == 0


def back(log: Path, out: Path, **more: Any) -> tuple[list[Record], Any]:
    from evalkit.bridges.inspect.read import read_log

    folder, info, _ = write_imported(out, read_log(log), [log], **more)
    return list(latest_records(folder).values()), info


def plain(records: list[Record]) -> Any:
    return msgspec.json.decode(msgspec.json.encode(records, enc_hook=encode_hook))


@pytest.fixture
def logged(tmp_path: Path) -> Callable[..., Path]:
    """The log of a run of the rows given."""

    def make(*rows: Record, options: tuple[str, ...] = (), expected: int | None = None) -> Path:
        folder = write_run(tmp_path / "run", rows, expected=expected)
        export(folder, tmp_path / "run.eval", *options)
        return tmp_path / "run.eval"

    return make


def test_records_come_back_as_they_were(logged: Callable[..., Path], tmp_path: Path) -> None:
    failed = trajectory(row("f", Verdict.ENGINE_ERROR), stop=StopReason.ENGINE_ERROR, error="gone", turns=())
    unread = row("u", Verdict.UNPARSED, answered=None)
    marked = msgspec.structs.replace(
        row("m", official=False),
        outcome=Outcome(verdict=Verdict.CORRECT, official=False, recorded=True, scores={"f1": 0.5, "grade": "yes"}),
    )
    again = trajectory(row("x"), fallback="Without tools, please.", final="A", restarts=1)
    rows = [looked("a"), looked("a", False, repeat=1), failed, unread, marked, again, row("j", Verdict.JUDGE_ERROR)]

    found, info = back(logged(*rows, options=("--images", "full")), tmp_path / "back")

    assert plain(found) == plain(rows)
    assert (info.expected_rows, info.config["model"]["name"]) == (7, "m")
    assert info.config["task"]["name"] == "recorded:numbers"
    assert info.config["protocol"]["tools"] == ["python"]


def test_the_log_is_inspects_own(logged: Callable[..., Path]) -> None:
    from inspect_ai.log import read_eval_log

    log = read_eval_log(str(logged(looked("a"), row("b", False), row("c", Verdict.ENGINE_ERROR))))

    assert (log.status, log.version, log.eval.task, log.eval.model) == ("success", 2, "numbers", "evalkit/m")
    assert log.results is not None
    assert log.results.scores[0].metrics["accuracy"].value == 0.5
    assert (log.results.total_samples, log.results.completed_samples) == (3, 2)
    assert log.samples is not None
    first, second, third = log.samples
    assert [message.role for message in first.messages] == ["user", "assistant", "tool", "tool", "tool", "assistant"]
    said, crop, raised, unread = first.messages[1:5]
    assert said.text.endswith(NASTY)
    assert [call.function for call in said.tool_calls] == ["crop", "crop", "unnamed"]
    assert said.tool_calls[2].parse_error == "no JSON"
    assert crop.tool_call_id == said.tool_calls[0].id
    assert (crop.error, raised.error.type, unread.error.type) == (None, "unknown", "parsing")
    assert first.output.completion == "<answer>A</answer>"
    assert first.choices == ["red", "blue"]
    assert first.metadata == {"category": "colour", "cluster": "one", "kind": "easy", "level": 3}
    assert {name: score.value for name, score in first.scores.items()} == {"strict": "C", "tool_calls": 2}
    assert second.scores["strict"].value == "I"
    assert third.error.message.startswith("engine_error: ")
    assert "strict" not in third.scores


def test_events_have_the_times_of_turns_and_calls(logged: Callable[..., Path]) -> None:
    from inspect_ai.log import read_eval_log_sample

    events = read_eval_log_sample(str(logged(looked("a"))), id="a").events

    assert [event.event for event in events] == ["model", "tool", "tool", "tool", "model"]
    assert [event.timestamp.timestamp() - 1.7e9 for event in events] == [0.0, 1.5, 1.75, 2.25, 2.25]
    assert [event.working_time for event in events] == [1.5, 0.25, 0.5, 0.0, 0.5]
    assert len(events[-1].input) == 5


@pytest.mark.parametrize(("option", "sizes"), [("thumbnails", [512, 512]), ("none", []), ("full", [900, 900])])
def test_images_are_small_unless_asked_for(
    logged: Callable[..., Path], tmp_path: Path, option: str, sizes: list[int]
) -> None:
    big = row("a", images=(image("red", 900), image("blue", 900)))

    (found,), _ = back(logged(big, options=("--images", option)), tmp_path / "back")

    assert [picture.header.width for picture in found.sample.images] == sizes


def test_an_oblong_photograph_is_made_small_in_its_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    from evalkit.reporting.trajectories.album import thumbnail

    buffer = io.BytesIO()
    Image.new("RGB", (1024, 768), "red").save(buffer, "JPEG")
    asked: list[Any] = []
    draft = JpegImageFile.draft

    def watched(*all: Any) -> Any:
        asked.append(draft(*all))
        return asked[-1]

    monkeypatch.setattr(JpegImageFile, "draft", watched)
    address = thumbnail(buffer.getvalue(), 512, fast=True)

    assert asked[0] == ("RGB", (0, 0, 512, 384))
    assert Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).size == (512, 384)


def test_an_image_that_is_small_already_goes_in_as_it_is(logged: Callable[..., Path], tmp_path: Path) -> None:
    crop = image("blue", 64)

    (found,), _ = back(logged(row("a", images=(crop,))), tmp_path / "back")

    assert found.sample.images[0].read() == crop.read()


def test_an_image_that_is_gone_leaves_a_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from inspect_ai.log import read_eval_log_sample

    folder = write_run(tmp_path / "run", [looked("a")])
    for file in (folder / "images").iterdir():
        file.unlink()
    export(folder, tmp_path / "run.eval")

    assert "warning: 3 images of arm agent could not be read" in capsys.readouterr().out
    content = read_eval_log_sample(str(tmp_path / "run.eval"), id="a").messages[0].content
    assert content[0].text == "[image of 40 x 40 pixels, missing from the run folder]"


def test_each_arm_is_a_log(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [row("a"), row("b"), row("a", False, arm=DIRECT)])
    export(folder, tmp_path / "run.eval")

    assert sorted(file.name for file in tmp_path.glob("*.eval")) == ["run.direct.eval", "run.eval"]
    (found,), info = back(tmp_path / "run.direct.eval", tmp_path / "back")
    assert (found.arm, found.outcome.verdict) == ("agent", Verdict.INCORRECT)
    assert "these are the rows of arm direct of a run of evalkit's" in info.notes


def test_a_run_that_was_cut_short_is_no_success(logged: Callable[..., Path], tmp_path: Path) -> None:
    _, info = back(logged(row("a"), expected=4), tmp_path / "back")

    assert info.expected_rows == 4
    assert any("status is cancelled" in note for note in info.notes)


def test_deep_arguments_of_a_model_are_written_as_text(logged: Callable[..., Path], tmp_path: Path) -> None:
    deep: Any = "x"
    for _ in range(300):
        deep = [deep]
    call = ToolCall(tool="crop", raw="deep", status=CallStatus.OK, arguments={"a": deep})
    rows = [trajectory(row("a"), turns=(Turn(text="t", calls=(call,), observations=(Observation(text="o"),)),))]

    found, _ = back(logged(*rows), tmp_path / "back")

    assert plain(found) == plain(rows)


def test_scores_given_since_come_with_the_records(logged: Callable[..., Path], tmp_path: Path) -> None:
    from inspect_ai.log import read_eval_log, write_eval_log
    from inspect_ai.scorer import Score

    log = read_eval_log(str(logged(row("a"), row("b"))))
    assert log.samples is not None
    for sample in log.samples:
        assert sample.scores is not None
        sample.scores["later"] = Score(value={"style": 0.25, "length": "I"})
    write_eval_log(log, tmp_path / "later.eval")

    found, _ = back(tmp_path / "later.eval", tmp_path / "back", score="later.style")

    assert found[0].outcome.scores == {"later.style": 0.25, "later.length": "I"}
    assert found[0].outcome.verdict is Verdict.INCORRECT


def test_a_record_of_another_row_is_refused(logged: Callable[..., Path], tmp_path: Path) -> None:
    from inspect_ai.log import read_eval_log, write_eval_log

    log = read_eval_log(str(logged(row("a"), row("b"))))
    assert log.samples is not None
    log.samples[0].store = log.samples[1].store
    write_eval_log(log, tmp_path / "mixed.eval")

    with pytest.raises(EvalkitError, match="sample a: its evalkit record is that of row 'b'"):
        back(tmp_path / "mixed.eval", tmp_path / "back")


@pytest.mark.parametrize("version", [2, 99])
def test_records_of_a_newer_evalkit_are_refused(logged: Callable[..., Path], tmp_path: Path, version: int) -> None:
    from inspect_ai.log import read_eval_log, write_eval_log

    log = read_eval_log(str(logged(row("a"))))
    assert log.eval.metadata is not None
    log.eval.metadata["evalkit"]["records"] = version
    write_eval_log(log, tmp_path / "new.eval")

    with pytest.raises(EvalkitError, match=f"evalkit records of version {version}"):
        back(tmp_path / "new.eval", tmp_path / "back")


def test_a_json_log_reads_the_same(logged: Callable[..., Path], tmp_path: Path) -> None:
    from inspect_ai.log import read_eval_log, write_eval_log

    rows = [looked("a"), row("b", False)]
    write_eval_log(read_eval_log(str(logged(*rows, options=("--images", "full")))), tmp_path / "run.json")

    found, _ = back(tmp_path / "run.json", tmp_path / "back")

    assert plain(found) == plain(rows)
    assert json.loads((tmp_path / "run.json").read_bytes())["version"] == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "inspect", "--out", "x.json"], "the name must end in .eval"),
        (["--format", "inspect", "--out", "no/such/x.eval"], "there is no folder no/such; make it first"),
        (["--format", "parquet", "--out", "x", "--images", "full"], "--images goes with --format inspect"),
    ],
)
def test_options_that_make_no_sense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    folder = write_run(tmp_path / "run", [row("a")])

    assert main(["export", str(folder), *options]) == 2
    assert words in capsys.readouterr().err


def test_nothing_is_left_of_an_export_that_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "run", [row("a")])
    with (folder / "samples.jsonl").open("ab") as file:
        file.write(b'{"version": 1, "sample": {"id": "b"}}\n')

    code = main(["export", str(folder), "--format", "inspect", "--out", str(tmp_path / "run.eval")])

    assert code == 2
    assert "corrupt" in capsys.readouterr().err
    assert list(tmp_path.glob("*.eval")) + list(tmp_path.glob(".*.eval")) == []
    assert read_info(folder).expected_rows == 1
