"""What a user may ask of arms, what is refused in one line, and the shipped models under them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evalkit import EvalkitError
from evalkit.cli._arms import arm_problems, check_earlier, check_tools, direct_prompt, read_arms
from evalkit.records import AGENT, DIRECT, FORCED, ISOLATED
from evalkit.runs.arms import Arms
from evalkit.runs.folder import RunInfo, Session, write_info
from evalkit.runs.store import RunStore
from tests.conftest import Cli
from tests.unit.test_arms import record


def asked(**options: Any) -> Arms:
    nothing: Mapping[str, Any] = {
        "names": None,
        "counterfactual": False,
        "repeats": 1,
        "direct_k": None,
        "direct_temperature": None,
        "forced_answers": False,
        "again": 0,
        "isolated": 0,
    }
    return read_arms(**{**nothing, **options})


def test_the_agent_is_always_among_the_arms() -> None:
    assert asked().names == (AGENT,)
    assert asked(counterfactual=True) == asked(names="direct") == asked(names=" direct , agent ")
    assert asked(counterfactual=True, names="forced").names == (AGENT, DIRECT, FORCED)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"names": "agent,dirct"}, "unknown arm 'dirct'; nearest: direct"),
        ({"names": "isolated"}, "known: agent, direct, forced"),
        ({"direct_k": 8}, "--direct-k does nothing without the direct arm"),
        ({"direct_temperature": 0.7, "names": "forced"}, "--direct-temperature does nothing"),
    ],
)
def test_an_arm_that_cannot_be_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(EvalkitError, match=said):
        asked(**options)


def test_k_greedy_answers_are_one() -> None:
    many = asked(counterfactual=True, direct_k=8)
    (said,) = arm_problems(many, 0.0, None)
    assert "the same answer 8 times" in said
    assert "--direct-temperature" in said
    assert list(arm_problems(many, 0.7, None)) == []
    assert list(arm_problems(asked(counterfactual=True, direct_k=8, direct_temperature=0.7), 0.0, None)) == []
    assert len(list(arm_problems(asked(counterfactual=True, direct_k=8, direct_temperature=0), 0.7, None))) == 1


def test_arms_that_a_recording_does_not_have_are_not_played_back(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        for row in (record("a"), record("a", DIRECT)):
            store.append(row)
    assert list(arm_problems(asked(counterfactual=True, again=5), 0.0, tmp_path)) == []
    everything = asked(names="direct,forced", repeats=2, forced_answers=True, isolated=3)
    (said,) = arm_problems(everything, 0.0, tmp_path)
    assert "no forced, no agent (repeat 1), no isolated, no forced answers to play back" in said


def test_arms_about_tools_need_an_agent_that_has_some() -> None:
    check_tools(asked(repeats=2, isolated=1), (), {}, "direct")
    check_tools(asked(counterfactual=True), ("python",), {"python"}, "metis")
    with pytest.raises(EvalkitError, match=r"direct: the agent has no tools .*protocol direct has none"):
        check_tools(asked(counterfactual=True), (), {}, "direct")
    with pytest.raises(EvalkitError, match=r"forced answers: .*no provider for text_search"):
        check_tools(asked(forced_answers=True), ("text_search",), {}, "metis")


def test_a_prompt_of_the_users_says_itself_what_it_is_without_tools() -> None:
    arms = asked(counterfactual=True)
    assert direct_prompt(asked(), "mine", None, False) is None
    assert direct_prompt(arms, None, None, False) is None
    assert direct_prompt(arms, "mine", "bare", False) == "bare"
    assert direct_prompt(arms, "mine", None, native_tools=True) == "mine", "the tools stand elsewhere"
    with pytest.raises(EvalkitError, match="--direct-system-prompt FILE"):
        direct_prompt(arms, "mine", None, False)
    with pytest.raises(EvalkitError, match="does nothing"):
        direct_prompt(asked(), None, "bare", False)


def test_one_arm_is_not_drawn_in_two_ways(tmp_path: Path) -> None:
    def earlier(arms: Arms, now: Arms, *repeats: int) -> None:
        info = RunInfo(evalkit="1", created="", config={}, config_hash="", expected_rows=1)
        info.sessions = [Session(started="", concurrency=1), Session(started="", concurrency=1, arms=arms)]
        check_earlier(tmp_path, info, now, 0.0, [("a", DIRECT, repeat) for repeat in repeats])

    def direct(k: int, temperature: float | None, prompt: str = "p") -> Arms:
        return Arms(names=(AGENT, DIRECT), direct_k=k, direct_temperature=temperature, direct_system_prompt=prompt)

    earlier(direct(4, 0.7), direct(8, 0.7), 0, 1)
    earlier(direct(1, None), direct(8, 0.7), 0)
    earlier(direct(4, 0.7), direct(1, None), 0, 1)
    earlier(direct(4, 0.7), direct(4, 1.0))
    earlier(direct(4, 0.7), Arms(), 0, 1)
    with pytest.raises(EvalkitError, match=r"drawn at temperature 0\.7, not 1"):
        earlier(direct(4, 0.7), direct(4, 1.0), 0, 1)
    with pytest.raises(EvalkitError, match="another system prompt"):
        earlier(direct(1, None), direct(1, None, "other"), 0)


# --- the shipped models, really run


def run(cli: Cli, folder: Path, *options: object) -> tuple[str, list[dict[str, Any]]]:
    """What was said on stderr, and the lines of the run folder `folder`."""
    ended = cli("run", "--tasks", "panel_probe", "--limit", 12, "--run-dir", folder, *options)
    assert ended.returncode == 0, ended.stderr
    return ended.stderr, [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def arm(rows: list[dict[str, Any]], name: str, repeat: int = 0) -> dict[str, list[dict[str, Any]]]:
    """The turns of one arm, by sample id."""
    return {
        row["sample"]["id"]: row["trajectory"]["turns"]
        for row in rows
        if row.get("arm", AGENT) == name and row.get("repeat", 0) == repeat
    }


def test_with_its_tools_taken_away_an_agent_that_always_calls_runs_none(cli: Cli, tmp_path: Path) -> None:
    options = ("--model", "metis-nano-sft", "--counterfactual", "--forced-answers", "--isolated-latency", 3)
    _, rows = run(cli, tmp_path / "r", *options)
    called = {}
    for name in (AGENT, DIRECT, ISOLATED, "answer@0"):
        turns = [turn for turns in arm(rows, name).values() for turn in turns]
        called[name] = sum(call["status"] == "ok" for turn in turns for call in turn.get("calls", []))
    assert called == {AGENT: 12, DIRECT: 0, ISOLATED: 3, "answer@0": 0}
    assert [len(arm(rows, name)) for name in (AGENT, DIRECT, ISOLATED, "answer@0")] == [12, 12, 3, 12]
    assert all(len(turns) == 1 for turns in arm(rows, DIRECT).values())
    info = json.loads((tmp_path / "r" / "run.json").read_text())
    assert info["sessions"][0]["arms"] == {"names": [AGENT, DIRECT], "forced_answers": True, "isolated": 3}


def test_each_repeat_draws_for_itself_and_a_seed_fixes_all(cli: Cli, tmp_path: Path) -> None:
    hot = ("--model", "metis-nano", "--temperature", 1.5, "--repeats", 3)
    texts = []
    for name in ("a", "b"):
        said, rows = run(cli, tmp_path / name, *hot, "--seed", 7)
        assert "repeats at temperature 0" not in said
        repeats = [arm(rows, AGENT, repeat) for repeat in range(3)]
        texts.append([{id: [turn["text"] for turn in turns] for id, turns in repeat.items()} for repeat in repeats])
    assert texts[0] == texts[1]
    assert all(a != b for a, b in itertools.pairwise(texts[0]))


def test_greedy_repeats_are_allowed_and_said(cli: Cli, tmp_path: Path) -> None:
    said, rows = run(cli, tmp_path / "r", "--model", "metis-nano", "--repeats", 2)
    assert "note: repeats at temperature 0" in said.replace("\n", " ")
    assert len(rows) == 24


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--counterfactual", "--protocol", "direct"), "direct: the agent has no tools"),
        (("--counterfactual", "--direct-k", 4), "the same answer 4 times"),
        (("--arms", "agent,forcd"), "nearest: forced"),
        (("--isolated-latency", -1), "greater than or equal to 0"),
        (("--repeats", 0), "greater than or equal to 1"),
    ],
)
def test_arms_that_cannot_be_are_refused_before_anything_runs(
    cli: Cli, tmp_path: Path, options: tuple[object, ...], said: str
) -> None:
    ended = cli("run", "--model", "metis-nano", "--tasks", "panel_probe", "--run-dir", "r", *options)
    assert ended.returncode == 2
    assert said in ended.stderr.replace("\n", " ")
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "r").exists()


def test_no_arm_is_added_to_results_made_elsewhere(cli: Cli, tmp_path: Path) -> None:
    config = {"engine": "imported", "task": {"name": "panel_probe"}, "model": {"name": "other"}}
    info = RunInfo(evalkit="1", created="", config=config, config_hash="x", expected_rows=1)
    (tmp_path / "r").mkdir()
    write_info(tmp_path / "r", info)
    ended = cli("run", "--model", "metis-nano", "--tasks", "panel_probe", "--run-dir", "r", "--counterfactual")
    assert ended.returncode == 2
    assert "r holds results that were made elsewhere" in ended.stderr
