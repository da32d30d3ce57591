"""torch.compile changes no answer. It takes minutes, so it runs with the other slow tests."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import Cli

pytestmark = [
    pytest.mark.skipif("EVALKIT_E2E_VLLM" not in os.environ, reason="slow: nox -s e2e runs it"),
    pytest.mark.timeout(900),
]


def test_the_compiled_model_gives_the_same_transcripts(cli: Cli, tmp_path: Path) -> None:
    transcripts = []
    for name, options in (("plain", ()), ("compiled", ("--compile",))):
        run = ("run", "--model", "metis-nano", "--tasks", "panel_probe", "--limit", 40, "--run-dir", name)
        done = cli(*run, *options)
        assert done.returncode == 0, done.stderr
        rows = map(json.loads, (tmp_path / name / "samples.jsonl").read_text().splitlines())
        transcripts.append({r["sample"]["id"]: [turn["text"] for turn in r["trajectory"]["turns"]] for r in rows})
        assert json.loads((tmp_path / name / "run.json").read_text())["sessions"][0]["engine"]["compiled"] is bool(
            options
        )
    assert transcripts[0] == transcripts[1]
