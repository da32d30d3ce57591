"""A real vLLM server as model and as judge: it answers nonsense, and no row is lost or guessed.

Run by `nox -s e2e`, which sets EVALKIT_E2E_VLLM to a Python that has vLLM.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import Cli
from tests.e2e.serving import needs_vllm, served
from tests.judges import PROSE, predictions
from tests.tiny_qwen import build

pytestmark = needs_vllm


def test_a_nonsense_judge_gives_no_right_answers(cli: Cli, tmp_path: Path) -> None:
    table = predictions(tmp_path / "answers.jsonl")
    with served(build(tmp_path / "tiny", max_positions=4096), "tiny", tmp_path / "vllm.log") as url:
        done = cli(
            *("score", "--predictions", table, "--task", "mathvista", "--data", "sample"),
            *("--out", "out", "--judge-url", url),
        )
    (run,) = (folder for folder in (tmp_path / "out").iterdir() if folder.is_dir())
    rows = {}
    for line in map(json.loads, (run / "samples.jsonl").read_text().splitlines()):
        rows[line["sample"]["id"]] = line["outcome"]
    assert len(rows) == 30, done.stderr
    for id in PROSE:
        assert rows[id]["verdict"] in ("judge_error", "unparsed", "incorrect"), rows[id]
        assert rows[id]["ruling"]["said"] != "unavailable", rows[id]["error"]
    info = json.loads((run / "run.json").read_text())
    assert info["judge"]["engine"]["servers"][0]["schemas"] is True, "vLLM takes the schemas"
