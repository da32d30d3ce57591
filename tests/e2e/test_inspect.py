"""The bridges to Inspect against Inspect itself: its scorers, and real runs of its own."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from evalkit import Verdict
from evalkit.runs.store import latest_records
from tests.conftest import ROOT
from tests.e2e.inspect_runs import INSPECT, evalkit, export_run, imported, run
from tests.engines.openai_server import said, serving

pytest.importorskip("inspect_ai", reason="inspect_ai is not installed (nox -s e2e installs it)")

TASK = "tests/e2e/inspect_task.py"
pytestmark = pytest.mark.timeout(600)


def test_inspect_scores_a_log(tmp_path: Path) -> None:
    log = export_run(tmp_path)
    scored = tmp_path / "scored.eval"
    run(INSPECT, "score", str(log), "--model", "none/none", "--scorer", "includes", "--action", "append",
        "--output-file", str(scored), "--display", "plain")  # fmt: skip

    records = list(latest_records(imported(scored, tmp_path / "runs", "--allowed-errors", "1")).values())

    assert len(records) == 22
    assert records[0].outcome.scores == {"includes": "C"}
    assert records[0].outcome.verdict is Verdict.CORRECT


def test_a_run_of_inspects_own_mock_model(tmp_path: Path) -> None:
    script = tmp_path / "mock.py"
    script.write_text(f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from inspect_ai import eval
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from tests.e2e.inspect_task import colours

def outputs():
    usage = ModelUsage(input_tokens=90, output_tokens=10, total_tokens=100, input_tokens_cache_read=10)
    while True:
        for made in (ModelOutput.for_tool_call("mockllm/model", "crop", {{"left": 3}}),
                     ModelOutput.from_content("mockllm/model", "It is red")):
            made.usage = usage
            yield made

eval(colours(), model=get_model("mockllm/model", custom_outputs=outputs()), epochs=2, max_samples=1,
     log_dir=sys.argv[1], display="none")
""")
    run(sys.executable, str(script), str(tmp_path / "logs"))
    (log,) = (tmp_path / "logs").glob("*.eval")

    records = list(latest_records(imported(log, tmp_path / "runs")).values())

    assert len(records) == 80
    assert {record.repeat for record in records} == {0, 1}
    one = records[0].trajectory
    assert [call.arguments for call in one.calls] == [{"left": 3}]
    assert one.turns[0].observations[0].text == "from 3 on"
    assert one.turns[0].observations[0].images[0].header.width == 16
    assert one.usage.prompt_tokens == 200
    assert one.total_s is not None
    assert all(turn.timing.generate_s is not None for turn in one.turns)
    assert records[0].outcome.scores == {"includes": "C", "match": "C"}


def answering(right: dict[str, int]) -> Any:
    """A server whose models look once, and then are right in so many of the first rows."""

    def reply(body: dict[str, Any]) -> dict[str, Any]:
        if all(message["role"] != "tool" for message in body["messages"]):
            call = {"id": "c1", "type": "function", "function": {"name": "crop", "arguments": '{"left": 5}'}}
            made = said("I look.", finish="tool_calls", tool_calls=[call])
        else:
            found = re.search(r"shape (\d+)", str(body["messages"]))
            assert found
            made = said("It is red" if int(found[1]) < right[body["model"]] else "It is blue")
        made["usage"]["total_tokens"] = 9
        return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", **made}

    return reply


def test_runs_against_a_server_are_compared_and_gated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def evaluate() -> None:
        async with serving() as server:
            server.reply = answering({"good": 36, "bad": 12})
            await asyncio.to_thread(
                run, INSPECT, "eval", TASK, "--model", "openai-api/local/good,openai-api/local/bad", "--log-dir",
                str(tmp_path / "logs"), "--display", "none", "--max-retries", "0",
                LOCAL_BASE_URL=server.url, LOCAL_API_KEY="none",
            )  # fmt: skip

    asyncio.run(evaluate())
    folders = [imported(log, tmp_path / log.stem) for log in (tmp_path / "logs").glob("*.eval")]
    bad, good = sorted(map(str, folders), key=lambda folder: Path(folder).name)
    monkeypatch.setenv("COLUMNS", "200")

    told = evalkit("compare", good, bad)
    assert "recorded:colours" in told
    assert "90.0%" in told
    assert "30.0%" in told
    evalkit("report", good, bad, "--html", str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text()
    assert "openai-api/local/good" in page
    assert "recorded:colours" in page
    rule = ("--fail", "accuracy:noninferior:20pt")
    evalkit("gate", good, "--baseline", good, *rule)
    evalkit("gate", bad, "--baseline", good, *rule, code=1)
