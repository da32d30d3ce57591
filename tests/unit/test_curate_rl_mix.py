import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit import Verdict
from evalkit.agents.limits import Limits
from evalkit.agents.protocols import protocol
from evalkit.curation.mix import MixSettings, check, histogram, mixed
from evalkit.curation.prompts import Prompt, prompts_of
from evalkit.curation.source import Entry, SourceRun, open_sources
from evalkit.errors import EvalkitError
from evalkit.records import DIRECT, Rule
from evalkit.runs.folder import RunInfo
from tests.run_folders import row, write_run

ERROR = Verdict.ENGINE_ERROR
CONFIG = {"task": {"name": "numbers"}, "model": {"name": "m"}, "protocol": {"name": "metis", "tools": ["python"]}}


@cache
def source() -> SourceRun:
    info = RunInfo(evalkit="1", created="", config=CONFIG, config_hash="", expected_rows=1)
    return SourceRun(Path("a-run"), info, protocol("metis", ()), Limits(), ())


def prompt(*verdicts: bool | Verdict, id: str = "1") -> Prompt:
    return Prompt(tuple(Entry(source(), row(id, right, repeat=k)) for k, right in enumerate(verdicts)))


def fate(prompt: Prompt, settings: MixSettings, *others: Prompt) -> str:
    found = mixed([prompt, *others], settings)
    reasons = [fate.reason for fate in found.out if fate.id == prompt.sample.id]
    return reasons[0] if reasons else "kept"


@pytest.mark.parametrize(
    ("verdicts", "reason"),
    [
        ([True] * 4, "all_right"),
        ([False] * 4, "all_wrong"),
        ([True, False, False, False], "kept"),
        ([True, True, True, Verdict.UNPARSED], "kept"),
        # an error is no wrong answer
        ([True, True, True, ERROR], "incomplete_group"),
        ([False, False, ERROR, ERROR], "incomplete_group"),
        ([ERROR] * 4, "incomplete_group"),
        # whatever the missing one is, it is a mix
        ([True, False, ERROR, False], "kept"),
    ],
)
def test_what_is_a_mix(verdicts: list[bool | Verdict], reason: str) -> None:
    assert fate(prompt(*verdicts), MixSettings()) == reason


def test_a_group_that_is_short_of_rollouts_is_incomplete_and_no_wrong_answer() -> None:
    short, whole = prompt(True, True, id="short"), prompt(True, False, True, False, id="whole")
    found = mixed([short, whole], MixSettings())
    assert [(one.id, one.reason, one.error) for one in found.out] == [("short", "incomplete_group", True)]
    assert fate(prompt(True, True), MixSettings(group=2)) == "all_right"


@pytest.mark.parametrize(
    ("right", "reason"), [(1, "too_hard"), (2, "too_hard"), (3, "kept"), (5, "kept"), (6, "too_easy"), (7, "too_easy")]
)
def test_the_limits_are_exclusive(right: int, reason: str) -> None:
    settings = MixSettings(above=0.25, below=0.75)
    assert fate(prompt(*[True] * right, *[False] * (8 - right)), settings) == reason


@given(
    st.lists(st.sampled_from([True, False, ERROR]), min_size=2, max_size=8),
    st.sampled_from([(0.0, 1.0), (0.2, 0.8), (0.0, 0.5)]),
)
def test_missing_scores_never_decide(verdicts: list[bool | Verdict], limits: tuple[float, float]) -> None:
    settings = MixSettings(above=limits[0], below=limits[1], group=len(verdicts))
    kept = fate(prompt(*verdicts), settings) == "kept"
    fills = [
        fate(prompt(*[fill if one is ERROR else one for one in verdicts]), settings) == "kept" for fill in (True, False)
    ]
    assert not kept or all(fills)
    assert kept or not all(fills)


def test_the_official_verdict_can_be_asked_for() -> None:
    rows = [Entry(source(), row("1", True, repeat=k, official=k == 0)) for k in range(2)]
    assert not mixed([Prompt(tuple(rows))], MixSettings()).kept
    assert mixed([Prompt(tuple(rows))], MixSettings(rule=Rule.OFFICIAL)).kept


def test_one_rollout_is_refused_with_the_command_that_makes_more() -> None:
    with pytest.raises(EvalkitError, match=r"evalkit run --model m --tasks numbers --repeats 8 --temperature 1$"):
        mixed([prompt(True), prompt(False, id="2")], MixSettings())


@pytest.mark.parametrize("settings", [MixSettings(above=0.5, below=0.5), MixSettings(below=1.5), MixSettings(group=1)])
def test_limits_that_make_no_sense_are_refused(settings: MixSettings) -> None:
    with pytest.raises(EvalkitError):
        check(settings)


def test_the_histogram_counts_whole_groups_and_says_what_it_leaves_out() -> None:
    prompts = [
        prompt(True, True, id="easy"),
        prompt(True, False, id="mix"),
        prompt(False, False, id="hard"),
        prompt(True, ERROR, id="short"),
    ]
    kept = mixed(prompts, MixSettings()).kept
    table, by_category = histogram(prompts, MixSettings(), kept)
    assert [cells[:3] for cells in table.rows] == [("0 of 2", 1, 0), ("1 of 2", 1, 1), ("2 of 2", 1, 0)]
    assert table.note.startswith("1 prompts")
    # 4 of the 7 scored rollouts are right
    assert by_category.rows == (("(none)", 4, 1, 4 / 7),)


def runs(tmp_path: Path, *each: Sequence[object], **config: object) -> list[SourceRun]:
    folders = []
    for place, rows in enumerate(each):
        changed = {name: value[place] for name, value in config.items()}  # type: ignore[index]
        folders.append(write_run(tmp_path / f"run-{place}", rows, config=changed))  # type: ignore[arg-type]
    return open_sources(folders)


def test_rollouts_of_a_prompt_come_from_all_runs_of_a_policy(tmp_path: Path) -> None:
    first = [row("1", True), row("2", True), row("2", True, arm=DIRECT)]
    found = prompts_of(runs(tmp_path, first, [row("1", False)], sampling=[{"seed": 1}, {"seed": 2}]))
    assert {one.id: len(one.rollouts) for one in found} == {"numbers/1": 2, "numbers/2": 1}


@pytest.mark.parametrize("part", ["model", "sampling"])
def test_runs_of_two_policies_are_refused(tmp_path: Path, part: str) -> None:
    parts = [{"name": "m", "temperature": 1.0}, {"name": "n", "temperature": 0.5}]
    with pytest.raises(EvalkitError, match=f"run-0 and run-1 differ in their {part}"):
        prompts_of(runs(tmp_path, [row("1")], [row("1")], **{part: parts}))


def test_two_questions_under_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match="different questions under the id '1'"):
        prompts_of(runs(tmp_path, [row("1")], [row("1", question="Another?")]))


def test_the_same_draws_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match="run-0 and run-1 have the seed 1: their rollouts of 1 are the same draws"):
        prompts_of(runs(tmp_path, [row("1", True)], [row("1", False)], sampling=[{"seed": 1}, {"seed": 1}]))
    # other rollouts of the prompt, or another prompt
    rest = [row("1", False, repeat=1), row("2")]
    found = prompts_of(runs(tmp_path / "more", [row("1", True)], rest, sampling=[{"seed": 1}, {"seed": 1}]))
    assert {one.id: len(one.rollouts) for one in found} == {"numbers/1": 2, "numbers/2": 1}


def test_a_copy_of_a_run_is_no_further_run(tmp_path: Path) -> None:
    first = write_run(tmp_path / "runs" / "a", [row("1", True), row("2", True)])
    shutil.copytree(first, tmp_path / "runs" / "b")
    with pytest.raises(EvalkitError, match=r"b is a copy of .*a: name one of them"):
        open_sources([tmp_path / "runs"])
