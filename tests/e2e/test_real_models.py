"""Real images through a real model behind a real OpenAI-compatible server, and through transformers.

Run by `nox -s e2e`, which sets EVALKIT_E2E_VLLM to a Python that has vLLM.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import ROOT, Cli
from tests.e2e.serving import needs_vllm, served
from tests.tiny_qwen import build

pytestmark = needs_vllm


def lines(run: Path) -> list[dict]:  # type: ignore[type-arg]
    return [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]


def test_wemath_through_a_server_and_through_transformers(tmp_path: Path, cli: Cli, shared_data: Path) -> None:
    model = build(tmp_path / "tiny", max_positions=4096)
    common = ("--tasks", "wemath", "--data", shared_data / "wemath", "--limit", "200", "--protocol", "metis")
    common = (*common, "--turn-tokens", "24", "--max-turns", "3")
    with served(model, "tiny", tmp_path / "vllm.log") as url:
        through_server = cli(
            "run", "--engine", "openai", "--model", "tiny", "--base-url", url, *common, "--run-dir", "s"
        )
    assert through_server.returncode == 0, through_server.stdout + through_server.stderr
    local = cli("run", "--model", model, "--dtype", "float32", *common, "--run-dir", "t", "--concurrency", "32")
    assert local.returncode == 0, local.stdout + local.stderr
    texts = []
    for run in ("s", "t"):
        rows = lines(tmp_path / run)
        assert len({row["sample"]["id"] for row in rows}) == len(rows) == 200
        for row in rows:
            (turn, *_) = row["trajectory"]["turns"]
            assert turn["usage"]["prompt_tokens"] > 100
            assert turn["usage"]["completion_tokens"] == 24
            assert (tmp_path / run / "images").joinpath(f"{row['sample']['images'][0]['sha256']}.png").exists() or (
                tmp_path / run / "images"
            ).joinpath(f"{row['sample']['images'][0]['sha256']}.jpg").exists()
        outcomes = Counter(row["outcome"]["verdict"] for row in rows)
        assert not [verdict for verdict in outcomes if verdict.endswith("error")]
        print(run, dict(outcomes))
        texts.append({row["sample"]["id"]: row["trajectory"]["turns"][0]["text"] for row in rows})
    same = sum(texts[0][id] == texts[1][id] for id in texts[0])
    # random weights make near-ties common, so a few texts may part; most of them must not
    print(f"same greedy text from both engines: {same}/200")
    assert same >= 190


def test_metis_nano_decides_the_same_behind_a_server(tmp_path: Path, cli: Cli) -> None:
    model = ROOT / "evalkit/models/metis_nano"
    common = ("--tasks", "panel_probe", "--limit", "200")
    with served(model, "nano", tmp_path / "vllm.log") as url:
        remote = cli("run", "--model", "metis-nano", "--engine", "openai", "--base-url", url, *common, "--run-dir", "s")
    assert remote.returncode == 0, remote.stdout + remote.stderr
    local = cli("run", "--model", "metis-nano", *common, "--run-dir", "t")
    assert local.returncode == 0, local.stdout + local.stderr

    def story(run: str) -> dict[str, list[str]]:
        rows = lines(tmp_path / run)
        return {row["sample"]["id"]: [turn["text"] for turn in row["trajectory"]["turns"]] for row in rows}

    assert len(story("s")) == 200
    print("same transcripts:", sum(story("s")[id] == story("t")[id] for id in story("t")), "/ 200")
    assert story("s") == story("t")


@pytest.mark.parametrize(("model", "right", "called"), [("metis-nano", 998, 498), ("metis-nano-sft", 999, 1000)])
def test_the_shipped_agents_figures_on_all_held_out_items(
    tmp_path: Path, cli: Cli, model: str, right: int, called: int
) -> None:
    done = cli("run", "--model", model, "--tasks", "panel_probe", "--run-dir", "r")
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["tools"]["tool_rate"]["count"] == called
    # another processor may round one near-tie the other way
    assert abs(summary["outcomes"]["correct"] - right) <= 1
