"""The shipped fakes: scripted and replayed engines."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from evalkit.engines import Completion, Engine, Message, ReplayEngine, Request, Sampling, ScriptedEngine
from evalkit.errors import EngineError, EvalkitError
from evalkit.records import Observation, Timing, Turn, Usage


def ask(key: str = "a/b/agent/0", turn: int = 0, stop: tuple[str, ...] = (), said: str = "") -> Request:
    messages = (Message("user", ("how many dogs",)), *([Message("assistant", (said,))] if said else []))
    return Request(messages=messages, sampling=Sampling(), max_tokens=9, key=key, turn=turn, stop=stop)


def written(tmp_path: Path, value: object) -> Path:
    path = tmp_path / "script.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


async def test_a_function_answers_with_text_completion_or_exception() -> None:
    whole = Completion(text="x", finish_reason="length")
    replies = iter(["two dogs here", whole, EngineError("down")])
    engine = ScriptedEngine(lambda request: next(replies))
    assert isinstance(engine, Engine)
    first = await engine.generate(ask())
    assert first.usage == Usage(prompt_tokens=3, completion_tokens=3)
    assert await engine.generate(ask()) is whole
    with pytest.raises(EngineError, match="down"):
        await engine.generate(ask())


async def test_a_script_file_answers_by_sample_and_turn_and_repeats_the_last(tmp_path: Path) -> None:
    path = written(tmp_path, {"default": ["d0", "d1"], "samples": {"a/b": ["s0"]}})
    engine = ScriptedEngine.from_file(path)
    asked = [("a/b/agent/0", 0), ("a/b/agent/3", 5), ("a/agent/0", 0), ("a/agent/0", 1), ("a/agent/0", 9)]
    texts = [(await engine.generate(ask(key, turn))).text for key, turn in asked]
    assert texts == ["s0", "s0", "d0", "d1", "d1"]


async def test_texts_end_with_the_stop_string_as_from_any_engine() -> None:
    engine = ScriptedEngine(["<c>1</c> and more"])
    assert (await engine.generate(ask(stop=("</c>",)))).text == "<c>1</c>"


async def test_a_sample_without_text_is_named(tmp_path: Path) -> None:
    engine = ScriptedEngine.from_file(written(tmp_path, {"samples": {"other": ["x"]}}))
    with pytest.raises(EngineError, match="'a/b'"):
        await engine.generate(ask())


@pytest.mark.parametrize(
    "value", ["{", "[1]", {"defaults": []}, {"default": "text"}, {"samples": {"a": [1]}}, {"delay_s": -1}, "[" * 5000]
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, value: object) -> None:
    path = written(tmp_path, value)
    with pytest.raises(EvalkitError, match=r"script\.json") as caught:
        ScriptedEngine.from_file(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match="cannot read script"):
        ScriptedEngine.from_file(tmp_path / "none.json")


def test_a_plain_string_is_no_script() -> None:
    with pytest.raises(EvalkitError, match="default"):
        ScriptedEngine("hello")


async def test_equal_scripts_have_equal_digests(tmp_path: Path) -> None:
    forms = [ScriptedEngine(["x"]), ScriptedEngine({"default": ["x"]})]
    forms.append(ScriptedEngine.from_file(written(tmp_path, {"default": ["x"]})))
    told = [await engine.start() for engine in forms]
    assert told[0] == told[1] == told[2]
    assert told[0]["kind"] == "scripted"
    assert (await ScriptedEngine(["y"]).start())["sha256"] != told[0]["sha256"]
    assert len((await ScriptedEngine(lambda request: "x").start())["sha256"]) == 64
    await forms[0].close()


async def test_a_script_file_may_say_how_long_a_generation_takes(tmp_path: Path) -> None:
    slow = ScriptedEngine.from_file(written(tmp_path, {"default": ["x"], "delay_s": 0.05}))
    start = time.perf_counter()
    await slow.generate(ask())
    assert time.perf_counter() - start >= 0.05
    assert await slow.start() == await ScriptedEngine(["x"]).start()


async def test_replay_gives_back_what_was_recorded() -> None:
    turn = Turn(
        text="t1",
        finish_reason="length",
        usage=Usage(prompt_tokens=1, completion_tokens=2),
        timing=Timing(ttft_s=0.1, generate_s=1.5, tool_s=9.0),
        retries=2,
    )
    engine = ReplayEngine({"a/b/agent/0": (Turn(text="t0"), turn)})
    assert isinstance(engine, Engine)
    started = await engine.start()
    assert (started["kind"], started["trajectories"]) == ("replay", 1)
    other = ReplayEngine({"a/b/agent/0": (Turn(text="t0"), Turn(text="t2"))})
    assert (await other.start())["identity"] != started["identity"]
    got = await engine.generate(ask(turn=1, said="t0"))
    assert (got.text, got.finish_reason, got.usage, got.retries) == ("t1", "length", turn.usage, 2)
    assert got.timing == Timing(ttft_s=0.1, generate_s=1.5)
    await engine.close()


@pytest.mark.parametrize(("key", "turn"), [("a/b/agent/1", 0), ("a/b/agent/0", 1)])
async def test_replay_refuses_what_was_not_recorded(key: str, turn: int) -> None:
    engine = ReplayEngine({"a/b/agent/0": (Turn(text="t0"),)})
    with pytest.raises(EngineError, match="not in the recording"):
        await engine.generate(ask(key, turn))


OUT = "it failed"
SHOWN = (Observation(text="fine"),)


@pytest.mark.parametrize(
    ("earlier", "said", "follows"),
    [
        ([Turn(text="one")], "one", True),
        ([Turn(text="one")], "", False),
        ([Turn(text="one", discarded=OUT)], "", True),
        ([Turn(text="one", discarded=OUT)], "one", False),
        # asked for again, and again the same; and nothing at all
        ([Turn(text="one"), Turn(text="one", discarded=OUT)], "one", True),
        ([Turn(text="", discarded=OUT)], "", True),
        # a try that was given up later: its turns were in the conversation until then
        ([Turn(text="one", discarded=OUT, observations=SHOWN)], "one", True),
        ([Turn(text="one", discarded=OUT, observations=SHOWN)], "", False),
        # within the model's own turn
        ([Turn(text="one", observations=SHOWN), Turn(text="two")], "onefinetwo", True),
    ],
)
async def test_replay_refuses_to_go_on_where_the_conversation_is_another(
    earlier: list[Turn], said: str, follows: bool
) -> None:
    engine = ReplayEngine({"a/b/agent/0": (*earlier, Turn(text="next"))})
    asked = ask(turn=len(earlier), said=said)
    if follows:
        assert (await engine.generate(asked)).text == "next"
    else:
        with pytest.raises(EngineError, match="does not go on as in the recording"):
            await engine.generate(asked)
