"""A run that searches, from the command line: recorded, resumed, replayed, and said where it cannot search."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.search_server import WebServer, plain, serving

RUN = ("run", "--model", "scripted", "--tasks", "panel_probe", "--script", "script.json", "--limit", "4")
TEXT = '<tool_call>{"name": "search", "arguments": {"query": "how tall is the tower"}}</tool_call>'
NOTHING = '<tool_call>{"name": "text_search", "arguments": {"query": "quetzal"}}</tool_call>'
IMAGE = '<tool_call>{"name": "image_search", "arguments": {}}</tool_call>'
ANSWER = "<reason>r</reason><answer>A</answer>"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "tower.md").write_text("# Tower\nThe tower is 330 metres tall.\n")
    (folder / "other.txt").write_text("Another tower.")
    script(tmp_path, TEXT, NOTHING, ANSWER)
    return folder


def script(folder: Path, *turns: str) -> None:
    (folder / "script.json").write_text(json.dumps({"default": turns}))


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def timeless(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {k: timeless(v) for k, v in tree.items() if k not in ("timing", "seconds", "started_at", "total_s")}
    return [timeless(value) for value in tree] if isinstance(tree, list) else tree


def records(run: Path) -> dict[str, Any]:
    return {line["sample"]["id"]: timeless(line) for line in lines(run / "samples.jsonl")}


@pytest.mark.usefixtures("docs")
def test_a_run_that_searched_is_repeated_from_its_recording(tmp_path: Path, cli: Cli) -> None:
    first = cli(*RUN, "--run-dir", "first", "--search", "corpus:docs")
    assert first.returncode == 0, first.stderr
    assert "text_search: corpus, 2 documents, fingerprint" in first.stderr
    assert "note: image_search not offered to the model" in first.stderr
    config = json.loads((tmp_path / "first" / "run.json").read_text())["config"]
    assert config["search"]["text_search"]["kind"] == "corpus"

    again = cli(*RUN, "--run-dir", "again", "--search", "recorded:first")
    assert again.returncode == 0, again.stderr
    assert records(tmp_path / "again") == records(tmp_path / "first")
    third = cli(*RUN, "--run-dir", "third", "--search", "recorded:again")
    assert third.returncode == 0, third.stderr
    assert records(tmp_path / "third") == records(tmp_path / "first")

    turns = next(iter(records(tmp_path / "first").values()))["trajectory"]["turns"]
    assert "330 metres" in turns[0]["observations"][0]["text"]
    assert turns[1]["observations"][0]["text"] == "A search for 'quetzal' found no results."
    found = lines(tmp_path / "first" / "searches.jsonl")
    assert len(found) == 8
    assert {line["status"] for line in found} == {"ok"}


@pytest.mark.usefixtures("docs")
def test_a_miss_in_a_replay_is_an_error_and_no_answer(tmp_path: Path, cli: Cli) -> None:
    assert cli(*RUN, "--run-dir", "first", "--search", "corpus:docs").returncode == 0
    script(tmp_path, NOTHING, TEXT.replace("tall", "wide"), ANSWER)
    again = cli(*RUN, "--run-dir", "again", "--search", "recorded:first")
    assert again.returncode == 3
    outcomes = [record["outcome"] for record in records(tmp_path / "again").values()]
    assert {outcome["verdict"] for outcome in outcomes} == {"sandbox_error"}
    assert "is recorded in" in outcomes[0]["error"]
    broken = [line for line in lines(tmp_path / "again" / "searches.jsonl") if line["status"] == "broken"]
    assert len(broken) == 4


@pytest.mark.usefixtures("docs")
def test_a_resumed_run_keeps_its_recording(tmp_path: Path, cli: Cli) -> None:
    assert cli(*RUN, "--run-dir", "r", "--search", "corpus:docs").returncode == 0
    before = (tmp_path / "r" / "searches.jsonl").read_bytes()
    samples = (tmp_path / "r" / "samples.jsonl").read_bytes().splitlines(keepends=True)
    # as after a kill: two trajectories are not there yet, a line is torn
    (tmp_path / "r" / "samples.jsonl").write_bytes(b"".join(samples[:2]))
    (tmp_path / "r" / "searches.jsonl").write_bytes(before + b'{"provider":"cor')
    assert cli(*RUN, "--run-dir", "r", "--search", "corpus:docs").returncode == 0
    after = (tmp_path / "r" / "searches.jsonl").read_bytes()
    assert after.startswith(before)
    assert len(lines(tmp_path / "r" / "searches.jsonl")) == 12
    again = cli(*RUN, "--run-dir", "again", "--search", "recorded:r")
    assert again.returncode == 0, again.stderr
    assert records(tmp_path / "again") == records(tmp_path / "r")


def test_a_run_of_another_search_is_another_configuration(tmp_path: Path, docs: Path, cli: Cli) -> None:
    assert cli(*RUN, "--run-dir", "r", "--search", "corpus:docs").returncode == 0
    (docs / "more.txt").write_text("One more tower.")
    other = cli(*RUN, "--run-dir", "r", "--search", "corpus:docs")
    assert other.returncode == 2
    assert "search.text_search.fingerprint" in other.stderr
    without = cli(*RUN, "--run-dir", "r")
    assert without.returncode == 2


@pytest.mark.usefixtures("docs")
def test_everything_that_is_missing_is_said_at_once(cli: Cli) -> None:
    result = cli(*RUN, "--search", "brave", "--image-search", "cache:nowhere", BRAVE_API_KEY="")
    assert result.returncode == 2
    assert "BRAVE_API_KEY" in result.stderr
    assert "nowhere is no file" in result.stderr
    nano = cli("run", "--model", "metis-nano", "--tasks", "panel_probe", "--limit", "1", "--search", "corpus:docs")
    assert nano.returncode == 2
    assert "--search does nothing" in nano.stderr


def test_an_image_search_from_a_cache_is_replayed_with_its_thumbnails(tmp_path: Path, cli: Cli) -> None:
    from PIL import Image

    script(tmp_path, IMAGE, IMAGE, ANSWER)
    Image.new("RGB", (64, 48), (1, 2, 3)).save(tmp_path / "t.png")
    assert cli(*RUN, "--run-dir", "bare").returncode == 0
    ids = list(records(tmp_path / "bare"))
    entry = {"tool_returned_web_title": ["A page"], "cached_images_path": ["t.png"]}
    (tmp_path / "cache.json").write_text(json.dumps(dict.fromkeys(ids[:3], entry)))

    first = cli(*RUN, "--run-dir", "first", "--image-search", "cache:cache.json")
    assert first.returncode == 0, first.stderr
    assert "note: image_search fails for 1 of 4 samples: no entry in the image cache" in first.stderr
    found = records(tmp_path / "first")
    (seen,) = found[ids[0]]["trajectory"]["turns"][0]["observations"]
    assert seen["text"] == "An image search found 1 result:\n\n1. [A page] (image 1 below)"
    assert len(seen["images"]) == 1
    assert found[ids[0]]["trajectory"]["turns"][1]["calls"][0]["status"] == "blocked"
    assert found[ids[3]]["trajectory"]["turns"][0]["calls"][0]["status"] == "failed"

    (tmp_path / "cache.json").unlink()
    again = cli(*RUN, "--run-dir", "again", "--image-search", "recorded:first")
    assert again.returncode == 0, again.stderr
    assert records(tmp_path / "again") == found


@pytest.fixture
def searxng() -> Iterator[WebServer]:
    """A server of SearXNG's form that lives in a thread, so that another process can ask it."""
    ready, done = threading.Event(), threading.Event()
    found: list[WebServer] = []

    async def run() -> None:
        result = {"title": "Tower", "url": "https://example.org/", "content": "It is 330 metres tall."}
        async with serving(plain({"query": "q", "results": [result], "unresponsive_engines": []})) as server:
            found.append(server)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(30)
    yield found[0]
    done.set()
    thread.join()


@pytest.mark.usefixtures("docs")
def test_a_searxng_instance_is_searched_and_then_not_needed(tmp_path: Path, cli: Cli, searxng: WebServer) -> None:
    first = cli(*RUN, "--run-dir", "first", "--search", f"searxng:{searxng.url}")
    assert first.returncode == 0, first.stderr
    # one search shows at the start that it works
    assert len(searxng.asked) == 9
    assert searxng.asked[1][1].startswith("/search?q=")
    assert "format=json" in searxng.asked[1][1]
    asked = len(searxng.asked)
    again = cli(*RUN, "--run-dir", "again", "--search", "recorded:first")
    assert again.returncode == 0, again.stderr
    assert len(searxng.asked) == asked
    assert records(tmp_path / "again") == records(tmp_path / "first")


@pytest.mark.usefixtures("docs")
def test_the_doctor_tries_a_search(cli: Cli) -> None:
    found = cli("doctor", "--model", "scripted", "--engine", "scripted", "--search", "corpus:docs")
    assert "offered: corpus, 2 documents" in " ".join(found.stdout.split())
    broken = cli("doctor", "--model", "scripted", "--engine", "scripted", "--search", "corpus:nowhere")
    assert "nowhere is no folder" in " ".join(broken.stdout.split())
    alone = cli("doctor", "--search", "corpus:docs")
    assert (alone.returncode, "go with --model" in alone.stderr) == (2, True)
