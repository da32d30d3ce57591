"""Agents, searches and judges against real servers: vLLM with a model that says nonsense, and a SearXNG-shaped one.

Run by `nox -s e2e`, which sets EVALKIT_E2E_VLLM to a Python that has vLLM.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.agents.protocols import PROTOCOLS
from evalkit.models import cards
from tests.conftest import Cli
from tests.e2e.relay import Relay, in_thread, relaying
from tests.e2e.serving import killable, needs_vllm, served
from tests.search_server import WebServer, plain, serving
from tests.tiny_qwen import END, build

pytestmark = needs_vllm

CONTEXT = 16_384
"""The tiny tokenizer has a token for every character, and a judge's second try holds its first reply too."""
OPTIONS = (
    "--max-model-len", str(CONTEXT), "--served-model-name", "tiny", "judge",
    # a grammar that allows white space is filled with it
    "--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}',
)  # fmt: skip
ERRORS = {"engine_error", "sandbox_error", "data_error"}
RESULT = {"title": "Tower", "url": "https://example.org/", "content": "It is 330 metres tall."}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ends its texts, and closes the strings of a JSON object, most of the time."""
    return build(tmp_path_factory.mktemp("weights") / "tiny", max_positions=CONTEXT, likely={END: 3, '"': 3})


@pytest.fixture(scope="module")
def server(weights: Path) -> Iterator[str]:
    """vLLM, with two names for the one model: the agent's and the judge's."""
    with served(weights, "tiny", weights.parent / "vllm.log", *OPTIONS) as url:
        yield url


@pytest.fixture
def relay(server: str) -> Iterator[Relay]:
    with in_thread(relaying(server)) as relay:
        yield relay


@pytest.fixture
def searxng() -> Iterator[WebServer]:
    with in_thread(serving(plain({"results": [RESULT], "unresponsive_engines": []}))) as found:
        yield found


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def latest(run: Path) -> dict[str, Any]:
    return {line["sample"]["id"]: line for line in lines(run / "samples.jsonl")}


def verdicts(run: Path) -> Counter[str]:
    return Counter(row["outcome"]["verdict"] for row in latest(run).values())


def info(run: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((run / "run.json").read_text())
    return read


def judged(run: Path) -> list[dict[str, Any]]:
    return [row["outcome"] for row in latest(run).values() if "ruling" in row["outcome"]]


def check_nonsense(run: Path, rows: int) -> None:
    """Every row is there, a judge's failure is no wrong answer, and none is right without a passage that says so.

    Model and judge are the same and fall into the same loops, so that now and then a quote does stand in a response.
    """
    found = verdicts(run)
    assert sum(found.values()) == rows
    assert not ERRORS & set(found), found
    right = 0
    for row in latest(run).values():
        outcome = row["outcome"]
        if "ruling" not in outcome:
            assert outcome["verdict"] != "correct"
            continue
        said = outcome["ruling"]["said"]
        assert said in ("unparsable", "no_answer", "extracted"), outcome
        if said == "unparsable":
            assert (outcome["verdict"], outcome.get("official")) == ("judge_error", None)
            assert "the judge's reply cannot be read" in outcome["error"]
        elif said == "no_answer":
            assert outcome["verdict"] == "unparsed"
        else:
            assert letters(outcome["ruling"]["quote"]) in letters(row["trajectory"]["turns"][-1]["text"])
            assert outcome["verdict"] in ("correct", "incorrect")
            right += outcome["verdict"] == "correct"
    assert right <= rows / 8


def letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def test_a_whole_task_with_a_search_and_a_judge(server: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "tower.md").write_text("# Tower\nThe tower is 330 metres tall.\n")
    command = (
        *("run", "--model", "metis", "--engine", "openai", "--base-url", server, "--served-model", "tiny"),
        *("--tasks", "vstar", "--data", "sample", "--search", "corpus:docs", "--turn-tokens", 512),
        *("--judge-url", server, "--judge-model", "judge", "--run-dir", "r"),
    )
    first = cli(*command)
    run = tmp_path / "r"
    assert first.returncode == 3, first.stdout + first.stderr
    assert "text_search: corpus, 1 documents" in first.stderr
    assert "note: image_search not offered to the model" in first.stderr
    check_nonsense(run, 24)
    asked, failed = len(judged(run)), verdicts(run)["judge_error"]
    assert failed > 0
    assert f"judge: {asked} asked, 0 from the cache" in first.stderr
    assert f"{failed} unparsable" in first.stderr
    told = " ".join(first.stdout.split())
    assert f"{failed} judge_error" in told
    assert f"{failed} of 24 rows are errors" in told or "nothing was evaluated" in told
    facts = info(run)
    assert (facts["judge"]["asked"], facts["judge"]["unparsable"], facts["judge"]["unavailable"]) == (asked, failed, 0)
    assert facts["judge"]["engine"]["servers"][0]["schemas"] is True
    assert facts["config"]["judge"]["model"].startswith("judge (")
    assert facts["config"]["search"]["text_search"]["kind"] == "corpus"
    stories = {id: row["trajectory"] for id, row in latest(run).items()}
    searches = [call for story in stories.values() for turn in story["turns"] for call in turn.get("calls", ())]
    assert len(lines(run / "searches.jsonl")) == len(searches) if (run / "searches.jsonl").exists() else not searches

    again = cli(*command)
    assert again.returncode in (0, 3), again.stdout + again.stderr
    assert f"{failed} rows that could not be scored are scored again" in again.stderr
    assert "24 of 24 rows are there" in again.stderr
    check_nonsense(run, 24)
    assert {id: row["trajectory"] for id, row in latest(run).items()} == stories, "no trajectory ran again"
    assert verdicts(run)["judge_error"] <= failed


def test_a_search_of_an_agent_on_a_real_server_is_recorded_and_repeated(
    relay: Relay, searxng: WebServer, server: str, cli: Cli, tmp_path: Path
) -> None:
    """The second turn is vLLM's own, on a conversation that holds what was found; the judge reads what came of it."""
    relay.says = ['<reason>look</reason><tool_call>{"name": "search", "arguments": {"query": "a tower"}}</tool_call>']
    command = (
        *("run", "--model", "metis", "--engine", "openai", "--served-model", "tiny", "--tasks", "vstar"),
        *("--data", "sample", "--limit", 6, "--turn-tokens", 512, "--judge-url", server, "--judge-model", "judge"),
    )
    first = cli(*command, "--base-url", relay.url, "--search", f"searxng:{searxng.url}", "--run-dir", "first")
    run = tmp_path / "first"
    assert first.returncode in (0, 3), first.stdout + first.stderr
    check_nonsense(run, 6)
    found = lines(run / "searches.jsonl")
    assert len(found) == 6
    assert {line["status"] for line in found} == {"ok"}
    assert len(searxng.asked) == 6 + 1, "one search shows at the start that it works"
    assert relay.refused == []
    for row in latest(run).values():
        turns = row["trajectory"]["turns"]
        assert len(turns) >= 2
        assert "330 metres" in turns[0]["observations"][0]["text"]
    assert all("330 metres" in json.dumps(body["messages"]) for body in relay.bodies)

    replayed = cli(*command, "--base-url", relay.url, "--search", f"recorded:{run}", "--run-dir", "second")
    assert replayed.returncode in (0, 3), replayed.stdout + replayed.stderr
    assert len(searxng.asked) == 6 + 1
    check_nonsense(tmp_path / "second", 6)
    for id, row in latest(tmp_path / "second").items():
        seen = latest(run)[id]["trajectory"]["turns"][0]["observations"]
        assert row["trajectory"]["turns"][0]["observations"] == seen


SHOW = "import matplotlib.pyplot as plt\\nplt.imshow(image_1)\\nplt.show()"
SAVE = """\
import os
from PIL import Image
os.makedirs("temp_processed_images", exist_ok=True)
Image.open(image_path).crop((0, 0, 64, 64)).save("temp_processed_images/part.png")
print("temp_processed_images/part.png")"""
CALLS = {
    "metis": [
        f'<reason>r</reason><tool_call>{{"name": "python", "arguments": {{"code": "{SHOW}"}}}}</tool_call>',
        '<reason>r</reason><tool_call>{"name": "text_search", "arguments": {"query": "tower"}}</tool_call>',
    ],
    "deepeyes": [
        '<think>t</think><tool_call>{"name": "image_zoom_in_tool", "arguments": '
        '{"bbox_2d": [10, 20, 110, 90], "label": "it"}}</tool_call>'
    ],
    "deepeyes_v2": ["<think>t</think>\n<code>\n```python\n" + SHOW.replace("\\n", "\n") + "\n```\n</code>"],
    "deepeyes_v2_search": [
        "<think>t</think>\n<code>\n```python\n" + SHOW.replace("\\n", "\n") + "\n```\n</code>",
        '<think>t</think><tool_call>{"name": "search", "arguments": {"query": "tower"}}</tool_call>',
    ],
    "thyme": [f"<think>t\n<code>\n```python\n{SAVE}\n```\n</code>"],
    "mini_o3": ['<think>t</think><grounding>{"bbox_2d": [0.1, 0.1, 0.5, 0.5], "source": "original_image"}</grounding>'],
    "pixel_reasoner": [
        '<tool_call>{"name": "crop_image_normalized", "arguments": '
        '{"bbox_2d": [0.1, 0.1, 0.5, 0.5], "target_image": 1}}</tool_call>'
    ],
    "sensenova_mars": [
        '<think>t</think><tool_call>{"name": "image_zoom_in_tool", "arguments": '
        '{"bbox_2d": [100, 100, 500, 500], "img_idx": 0}}</tool_call>',
        '<think>t</think><tool_call>{"name": "text_search_tool", "arguments": {"query": "tower"}}</tool_call>',
    ],
    "qwen_tools": [
        '<tool_call>{"name": "python", "arguments": {"code": "image_1"}}</tool_call>'
        '<tool_call>{"name": "python", "arguments": {"code": "print(2)"}}</tool_call>'
    ],
    "direct": [],
    "direct_cot": [],
}
"""What each family says before it goes on by itself: a call of every tool that can be had."""
SERVED = [name for name in PROTOCOLS if name != "skywork_r1v4"]


def card_of(protocol: str) -> str:
    """A shipped card of the family."""
    return next((name for name, card in cards().items() if card.protocol == protocol and card.needs.gpu_gb), "scripted")


@pytest.mark.parametrize("faithful", [False, True], ids=["", "faithful"])
@pytest.mark.parametrize("protocol", SERVED)
def test_each_family_on_a_real_server(
    protocol: str, faithful: bool, relay: Relay, searxng: WebServer, cli: Cli, tmp_path: Path
) -> None:
    """The server takes every turn of the protocol: observations, images in them, roles, stops, its own turn gone on."""
    if faithful and not PROTOCOLS[protocol].quirks:
        pytest.skip("it has no quirks")
    relay.says = CALLS[protocol]
    searching = "text_search" in PROTOCOLS[protocol].tools
    done = cli(
        *("run", "--model", card_of(protocol), "--protocol", protocol, "--engine", "openai", "--base-url", relay.url),
        *("--served-model", "tiny", "--tasks", "vstar", "--data", "sample", "--limit", 3, "--run-dir", "r"),
        *("--turn-tokens", 256, "--max-turns", 5),
        *(("--search", f"searxng:{searxng.url}") if searching else ()),
        *(("--faithful",) if faithful else ()),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = latest(tmp_path / "r")
    assert len(rows) == 3
    assert not ERRORS & set(verdicts(tmp_path / "r")), verdicts(tmp_path / "r")
    assert relay.refused == []
    for row in rows.values():
        turns = row["trajectory"]["turns"]
        assert len(turns) > len(CALLS[protocol])
        called = [call for turn in turns[: len(CALLS[protocol])] for call in turn["calls"]]
        assert {call["status"] for call in called} <= {"ok"}, called
        assert len(called) >= len(CALLS[protocol])
        assert any(seen.get("images") for turn in turns for seen in turn.get("observations", ())) == bool(called)
    pictures = [json.dumps(body["messages"]).count('"type": "image_url"') for body in relay.bodies]
    assert min(pictures) > bool(CALLS[protocol])
    if protocol == "thyme":
        body = relay.bodies[0]
        assert (body["continue_final_message"], body["messages"][-1]["role"]) == (True, "assistant")


def waited(file: Path, process: subprocess.Popen[bytes], seconds: float = 300) -> None:
    """Wait for the first row."""
    deadline = time.monotonic() + seconds
    while not (file.exists() and file.stat().st_size):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_judge_that_is_killed_midway_and_comes_back(server: str, weights: Path, cli: Cli, tmp_path: Path) -> None:
    command = (
        *("run", "--model", "metis", "--engine", "openai", "--base-url", server, "--served-model", "tiny"),
        *("--tasks", "vstar", "--data", "sample", "--turn-tokens", "512", "--judge-concurrency", "1"),
        *("--judge-model", "judge", "--run-dir", "r", "--judge-url"),
    )
    run = tmp_path / "r"
    with (
        killable(weights, "judge", tmp_path / "judge.log", *OPTIONS) as (url, judge),
        (tmp_path / "stderr").open("wb") as out,
    ):
        process = subprocess.Popen(
            [sys.executable, "-m", "evalkit", *command, url],
            cwd=tmp_path,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=out,
        )
        try:
            waited(run / "samples.jsonl", process)
            os.killpg(judge.pid, signal.SIGKILL)
            code = process.wait(200)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
    told = (tmp_path / "stderr").read_text()
    assert code == 3, told
    before = latest(run)
    assert len(before) == 24, "no row is lost"
    gone = {id for id, row in before.items() if row["outcome"].get("ruling", {}).get("said") == "unavailable"}
    assert gone
    assert {before[id]["outcome"]["verdict"] for id in gone} == {"judge_error"}
    assert info(run)["judge"]["unavailable"] == len(gone)
    assert f"{len(gone)} unavailable" in told

    # the same model under another address is the same judge
    back = cli(*command, server)
    assert back.returncode in (0, 3), back.stdout + back.stderr
    assert "rows that could not be scored are scored again" in back.stderr
    after = latest(run)
    check_nonsense(run, 24)
    assert {id: row["trajectory"] for id, row in after.items()} == {id: row["trajectory"] for id, row in before.items()}
    assert info(run)["judge"]["unavailable"] == 0
