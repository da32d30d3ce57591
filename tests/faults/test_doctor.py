"""`evalkit doctor` asks the model and looks at the data, and says of each problem how to mend it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import Cli


def test_a_model_is_asked_and_a_data_set_counted(cli: Cli) -> None:
    done = cli("doctor", "--model", "metis-nano", "--tasks", "wemath,panel_probe", "--data", "sample")
    assert done.returncode == 0, done.stdout + done.stderr
    for line in ("transformers answers for metis-nano", "24 rows, 24 images, fingerprint ", "43 prompt tokens"):
        assert line in done.stdout
    assert "offered" in done.stdout
    assert "tier T" in done.stdout


def test_every_problem_is_named_and_nothing_hides_the_rest(cli: Cli, tmp_path: Path) -> None:
    row = {"ID": "2steps_1", "key": "2steps_1", "question": "?", "option": "A. 1; B. 2", "answer": "A"}
    row |= {"knowledge concept": "c", "image_path": "gone.png"}
    (tmp_path / "testmini.json").write_text(json.dumps([row]))
    url = "http://127.0.0.1:9/v1"
    done = cli(
        *("doctor", "--model", "any", "--engine", "openai", "--base-url", url),
        *("--tasks", "wemath,vstr", "--data", tmp_path, "--out", tmp_path / "far" / "away"),
    )
    text = " ".join(done.stdout.split())
    assert done.returncode == 2
    assert "no file gone.png" in text
    assert "unknown task 'vstr'; nearest: vstar" in text
    assert "cannot reach http://127.0.0.1:9/v1/models" in text
    assert "GB free for" in text
    assert "Traceback" not in done.stderr


def test_a_dead_server_alone_is_infrastructure(cli: Cli) -> None:
    assert cli("doctor", "--model", "any", "--engine", "openai", "--base-url", "http://127.0.0.1:9/v1").returncode == 3
