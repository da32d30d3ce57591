"""Filters that need no sandbox: what is whole, and what needs a tool."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from evalkit import CallStatus, StopReason, Verdict
from evalkit.curation.necessity import check_enough, direct_tries, necessity
from evalkit.curation.source import Entry, entries_of, messages_of, open_sources
from evalkit.curation.whole import whole
from evalkit.errors import DataError, EvalkitError, NothingEvaluatedError
from evalkit.images import ImageFile
from evalkit.records import Rule
from tests.run_folders import row, write_run
from tests.trajectories import Call, board, direct, picture, trajectory, write

ONE = [Call("print(1)", "1\n")]


def entries(folder: Path) -> list[Entry]:
    return [entry for run in open_sources([folder]) for entry in entries_of(run)]


def test_what_can_be_learned_from_at_all(tmp_path: Path) -> None:
    good = trajectory("good", ONE)
    records = [
        good,
        trajectory("wrong", ONE, right=False),
        trajectory("engine", ONE, right=Verdict.ENGINE_ERROR),
        trajectory("judge", ONE, right=Verdict.JUDGE_ERROR),
        trajectory("cut", ONE, stop=StopReason.LIMIT_TURNS),
        trajectory("idle", ()),
        trajectory("odd", [Call("print(1)", "no", status=CallStatus.MALFORMED)]),
        trajectory("again", ONE, discarded="no image"),
        replace(trajectory("last", ONE), trajectory=replace(good.trajectory, partial=True)),
        *direct("good", [True]),
    ]
    sifted = whole(entries(write(tmp_path / "run", records)))
    assert [entry.record.sample.id for entry in sifted.kept] == ["good"]
    assert {fate.id: (fate.reason, fate.error) for fate in sifted.out} == {
        "wrong": ("wrong_answer", False),
        "engine": ("engine_error", True),
        "judge": ("judge_error", True),
        "cut": ("unfinished", False),
        "idle": ("no_call", False),
        "odd": ("call_not_run", False),
        "again": ("rewritten", False),
        "last": ("partial", False),
    }


def test_whose_rule_says_what_is_right(tmp_path: Path) -> None:
    record = trajectory("a", ONE, right=False)
    record = replace(record, outcome=replace(record.outcome, official=True))
    mine = entries(write(tmp_path / "run", [record]))
    assert not whole(mine).kept
    assert len(whole(mine, Rule.OFFICIAL).kept) == 1


@pytest.fixture
def tried(tmp_path: Path) -> Path:
    E = Verdict.ENGINE_ERROR
    records = [trajectory(id, ONE) for id in ("easy", "once wrong", "hard", "few", "few and wrong", "broken", "none")]
    records += direct("easy", [True] * 8)
    records += direct("once wrong", [True] * 7 + [False])
    records += direct("hard", [False] * 8)
    records += direct("few", [True] * 7)
    records += direct("few and wrong", [False])
    records += direct("broken", [True] * 7 + [E])
    return write(tmp_path / "run", records)


def test_what_the_base_model_always_solves_goes(tried: Path) -> None:
    mine = entries(tried)
    tries = direct_tries(open_sources([tried]))
    check_enough(mine, tries, 8)
    sifted = necessity(mine, tries)
    assert [entry.record.sample.id for entry in sifted.kept] == ["once wrong", "hard", "few and wrong"]
    assert {fate.id: (fate.reason, fate.error) for fate in sifted.out} == {
        "easy": ("solved_without_tools", False),
        "few": ("too_few_tries", True),
        "broken": ("too_few_tries", True),
        "none": ("no_tries", True),
    }
    found = {entry.record.sample.id: entry.found for entry in mine}
    assert found["once wrong"] == {"direct_right": 7, "direct_tries": 8}
    assert found["broken"] == {"direct_right": 7, "direct_tries": 7}


def test_another_run_of_the_base_model_counts(tmp_path: Path, tried: Path) -> None:
    """Its direct arm, or all of it where it offers no tools."""
    bare = {"protocol": {"name": "direct", "tools": [], "system_prompt": ""}}
    base = [trajectory("hard", (), right=True, repeat=k) for k in range(8)]
    other = write(tmp_path / "base", base, **bare)
    sifted = necessity(entries(tried), direct_tries(open_sources([other])))
    assert not sifted.kept
    assert {fate.id: fate.reason for fate in sifted.out}["hard"] == "solved_without_tools"


def test_the_first_direct_answer_of_an_arm_with_a_temperature_of_its_own_is_no_try(tmp_path: Path) -> None:
    from evalkit.runs.arms import Arms
    from evalkit.runs.folder import Session, read_info, write_info
    from tests.run_folders import PLACE

    records = [trajectory("a", ONE), *direct("a", [False] + [True] * 8)]
    folder = write(tmp_path / "run", records)
    info = read_info(folder)
    arms = Arms(names=("agent", "direct"), direct_k=8, direct_temperature=0.7)
    info.sessions = [Session(started="2026-01-01T00:00:00Z", concurrency=1, environment=PLACE, arms=arms)]
    write_info(folder, info)
    assert direct_tries(open_sources([folder]))["signs", "a"][1:] == (8, 8)


def test_too_few_tries_of_all_are_said_before_anything_runs(tmp_path: Path) -> None:
    folder = write(tmp_path / "run", [trajectory("a", ONE), *direct("a", [True])])
    mine = entries(folder)
    with pytest.raises(EvalkitError, match=r"at most 1 direct tries a sample, 8 are needed: .*--direct-k 8"):
        check_enough(mine, direct_tries(open_sources([folder])), 8)
    with pytest.raises(EvalkitError, match="no direct tries of these samples"):
        check_enough(mine, {}, 8)


def test_tries_of_another_question_are_refused(tmp_path: Path, tried: Path) -> None:
    for name, change in (("q", {"question": "Another?"}), ("i", {"image": picture(board("red"))})):
        other = write(tmp_path / name, direct("hard", [True] * 8, **change))
        with pytest.raises(DataError, match=r"sample hard of signs asks something else"):
            necessity(entries(tried), direct_tries(open_sources([other])))


def test_folders_that_are_no_source(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a run folder"):
        open_sources([tmp_path / "nothing"])
    with pytest.raises(NothingEvaluatedError, match="has no trajectories yet"):
        open_sources([write(tmp_path / "empty", [])])
    last = write_run(tmp_path / "last", [row(1)], config={"protocol": {"name": None}})
    with pytest.raises(DataError, match="last responses only"):
        open_sources([last])
    unknown = write_run(tmp_path / "unknown", [row(1)], config={"protocol": {"name": "mettis"}})
    with pytest.raises(EvalkitError, match=r"unknown protocol 'mettis'; nearest: metis"):
        open_sources([unknown])
    first = write(tmp_path / "a" / "same", [trajectory("a", ONE)])
    second = write(tmp_path / "b" / "same", [trajectory("a", ONE)])
    with pytest.raises(EvalkitError, match="two different runs are called same"):
        open_sources([first, second])
    assert len(open_sources([first, first])) == 1


def test_the_conversation_is_the_trajectorys_own(tmp_path: Path) -> None:
    crop = picture(board("red"), "crop")
    records = [trajectory("a", [Call("image_1", "look", (crop,))], system="Be brief.")]
    [entry] = entries(write(tmp_path / "run", records))
    messages = messages_of(entry)
    assert [message.role for message in messages] == ["system", "user", "assistant", "tool", "assistant"]
    shape = [[type(part) is ImageFile or part for part in message.parts] for message in messages]
    assert shape[0] == ["Be brief."]
    assert shape[1] == [True, "What is in a?"]
    assert shape[2] == [records[0].trajectory.turns[0].text]
    assert shape[3] == ["look", True]
    assert messages[3].images[0].header.sha256 == crop.header.sha256
    # another program's wording of the question
    record = replace(records[0], trajectory=replace(records[0].trajectory, prompt="Look: what is in a?"))
    [entry] = entries(write(tmp_path / "log", [record]))
    assert messages_of(entry)[1].text == "Look: what is in a?"


def test_tries_of_two_models_are_those_of_no_base_model(tmp_path: Path, tried: Path) -> None:
    four = direct("hard", [True] * 4)
    names = ("base", "other")
    folders = [write(tmp_path / name, four, model={"name": name, "weights": name}) for name in names]
    with pytest.raises(EvalkitError, match="the tries without tools in base and other are of two models"):
        direct_tries(open_sources(folders))
    # trajectories of another model are no tries
    assert direct_tries(open_sources([folders[0], write(tmp_path / "agent", [trajectory("hard", ONE)])]))
