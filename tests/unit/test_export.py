"""`evalkit export` as the formats that need no further package, and the way back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit import Verdict, load_run
from evalkit.cli import main
from tests.inspect_rows import NASTY, looked
from tests.run_folders import row, write_run


def test_an_lmms_log_comes_back_with_the_same_verdicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [looked("a"), row("b", False), row("e", Verdict.ENGINE_ERROR)]
    folder, log = write_run(tmp_path / "run", rows), tmp_path / "m_samples_numbers.jsonl"

    assert main(["export", str(folder), "--format", "lmms", "--out", str(log)]) == 0
    assert f"{log}: 2 rows\n" in capsys.readouterr().out
    assert main(["import", "lmms", str(log), "--model", "m", "--out", str(tmp_path / "back")]) == 0

    (back,) = (tmp_path / "back").iterdir()
    verdicts = [record.outcome.verdict for record in load_run(back).records]
    assert verdicts == [Verdict.CORRECT, Verdict.INCORRECT]
    assert [json.loads(line)["id"] for line in log.read_text().splitlines()] == ["a", "b"]


def test_a_data_set_has_every_row_and_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from datasets import load_dataset

    folder = write_run(tmp_path / "run", [looked("a"), row("b", False), row("e", Verdict.ENGINE_ERROR)])

    assert main(["export", str(folder), "--format", "parquet", "--out", str(tmp_path / "set")]) == 0
    assert "3 rows, 3 images" in capsys.readouterr().out

    found = load_dataset(str(tmp_path / "set"), split="train", cache_dir=str(tmp_path / "cache"))
    assert found["id"] == ["a", "b", "e"]
    assert found["correct"] == [True, False, None]
    first = found[0]
    assert [image.getpixel((0, 0)) for image in first["images"]] == [(255, 0, 0), (0, 128, 0), (0, 0, 255)]
    assert [message["role"] for message in first["messages"]] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "tool",
        "assistant",
    ]
    assert first["messages"][1]["content"][0]["text"].endswith(NASTY)
    assert [call["status"] for call in json.loads(first["tool_calls"])] == ["ok", "failed", "malformed"]


@pytest.mark.parametrize(
    ("format", "out", "words"),
    [
        ("lmms", "x.json", "the name must end in .jsonl"),
        ("lmms", "no/such/x.jsonl", "there is no folder no/such; make it first"),
        ("lmms", "run/samples.jsonl", "run is a run folder; name another place"),
        ("parquet", "run", "run is a run folder; name another place"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    format: str,
    out: str,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run", [row("a")])

    assert main(["export", "run", "--format", format, "--out", out]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert len(load_run("run").records) == 1
