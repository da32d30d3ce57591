"""`python -m lmms_eval --model evalkit` against a server: the agent's figures are in lmms-eval's table and in a run."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit.models import find_card
from tests.e2e.lmms_local import ROWS
from tests.e2e.serving import needs_vllm, served
from tests.e2e.test_lmms_bridge import LMMS, lmms_eval, local, log_in, results_in
from tests.engines.openai_server import Server, said, serving

__all__ = ["local"]

pytestmark = [
    pytest.mark.skipif(LMMS is None, reason="EVALKIT_E2E_LMMS names no Python with lmms-eval (nox -s e2e sets it)"),
    pytest.mark.timeout(900),
]
_CALL = '<reason>look</reason><tool_call>{"name": "python", "arguments": {"code": "print(image_1.size)"}}</tool_call>'


@contextmanager
def answering(server: Server) -> Iterator[str]:
    """The server in a thread of its own."""
    ready = threading.Event()
    ends: list[Callable[[], object]] = []

    async def serve() -> None:
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        async with serving(server):
            ends.append(lambda: loop.call_soon_threadsafe(end.set))
            ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        yield server.url
    finally:
        for end in ends:
            end()
        thread.join()


def _agent(body: dict[str, Any]) -> dict[str, Any]:
    """A call first, and an answer once its result is there."""
    seen = json.dumps(body["messages"])
    return said("<reason>seen</reason><answer>B</answer>" if "Code execution result" in seen else _CALL)


def test_an_agent_with_tools_is_a_model_of_lmms_eval(local: Path) -> None:
    server = Server()
    server.reply = _agent
    names = ("local_vstar_bench", "local_mmmu_val")
    with answering(server) as url:
        model = f"model=metis,engine=openai,base_url={url},served_model=m,out={local / 'agent'},concurrency=8"
        arguments = ("--tasks", ",".join(names), "--log_samples", "--output_path", str(local / "agent-log"))
        lmms_eval(local, "--model", "evalkit", "--model_args", model, *arguments)
        asked = len(server.bodies)
        # once more: every row is there already, and only the server is looked at
        lmms_eval(local, "--model", "evalkit", "--model_args", model, "--tasks", names[0], "--limit", "24")
        assert len(server.bodies) - asked < ROWS
    found = results_in(local / "agent-log")["results"]
    runs = {run.task: run for run in map(evalkit.load_run, (local / "agent").iterdir())}
    assert set(runs) == {f"lmms:{name}" for name in names}
    assert found["local_vstar_bench"]["vstar_overall_acc,none"] == 25
    for name in names:
        run = runs[f"lmms:{name}"]
        assert len(run.records) == ROWS
        assert run.summary.tools.tool_rate.value == 1
        assert run.summary.accuracy.value == 0.25
        for line in log_in(local / "agent-log", name).read_text("utf-8").splitlines():
            row = json.loads(line)
            assert row["filtered_resps"] == "B"
            # of both generations
            assert row["token_counts"] == [{"input_tokens": 14, "output_tokens": 4}]
    assert runs["lmms:local_mmmu_val"].summary.metrics[0].value == found["local_mmmu_val"]["mmmu_acc,none"]


def test_a_row_that_fails_is_no_wrong_answer(local: Path) -> None:
    from aiohttp import web

    server = Server()
    server.reply = lambda body: web.json_response({"error": {"message": "no"}}, status=400)
    with answering(server) as url:
        model = f"model=metis,engine=openai,base_url={url},served_model=m,out={local / 'failed'}"
        said = lmms_eval(local, "--model", "evalkit", "--model_args", model, "--tasks", "local_pope", "--limit", "3")
    assert "evalkit: 3 of 3 rows have no response" in said
    assert "the same command again goes on from here" in said
    assert "|local_pope" not in said


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--model_args", "model=metis,engin=scripted", "--tasks", "local_pope"), "unknown option 'engin'"),
        (("--model_args", "model=metis,limit=3", "--tasks", "local_pope"), "--model_args: limit is lmms-eval's to say"),
    ],
)
def test_a_wrong_option_is_said(local: Path, arguments: tuple[str, ...], problem: str) -> None:
    assert problem in lmms_eval(local, "--model", "evalkit", *arguments)


@pytest.mark.usefixtures("local")
class TestServed:
    """metis-nano behind a real vLLM."""

    pytestmark = needs_vllm

    def test_metis_nano(self, local: Path) -> None:
        weights = Path(find_card("metis-nano").weights.folder)
        with served(weights, "metis-nano", local / "vllm.log") as url:
            model = f"model=metis-nano,engine=openai,base_url={url},out={local / 'served'},concurrency=8"
            out = local / "served-log"
            arguments = ("--tasks", "local_pope,local_vstar_bench", "--log_samples", "--output_path", str(out))
            lmms_eval(local, "--model", "evalkit", "--model_args", model, *arguments)
        found = results_in(out)["results"]
        runs = {run.task: run for run in map(evalkit.load_run, (local / "served").iterdir())}
        shares = {name: run.summary.accuracy.value for name, run in runs.items()}
        assert shares["lmms:local_pope"] == pytest.approx(found["local_pope"]["pope_accuracy,none"])
        expected = found["local_vstar_bench"]["vstar_overall_acc,none"] / 100
        assert shares["lmms:local_vstar_bench"] == pytest.approx(expected)
        for run in runs.values():
            assert all(record.trajectory.usage.completion_tokens for record in run.records)
