"""What cannot be gated is refused in one line that says why, with the exit code of that kind of fault."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from evalkit import ImageFile
from evalkit.errors import DataError, EvalkitError, ExitCode, InfrastructureError, NothingEvaluatedError
from evalkit.gate import archive, open_baseline, parse_rule, run_gate, save_baseline
from evalkit.gate.output import as_json, as_junit, as_markdown
from tests.run_folders import row, write_run


def two(tmp_path: Path, **second: Any) -> tuple[Path, Path]:
    rows = second.pop("rows", [row(i) for i in range(6)])
    write_run(tmp_path / "old", second.pop("old", [row(i) for i in range(6)]))
    return write_run(tmp_path / "new", rows, **second), tmp_path / "old"


def refused(new: Path, old: Path | str, **options: Any) -> str:
    with pytest.raises(EvalkitError) as caught:
        run_gate(new, str(old), **options)
    assert caught.value.exit_code is ExitCode.USAGE
    assert "\n" not in str(caught.value)
    return str(caught.value)


DIFFERENT = {
    "task": ({"task": {"name": "letters"}}, "the tasks differ (letters, numbers)"),
    "version": ({"task": {"version": 2}}, "the task's versions differ (2, 1)"),
    "questions": ({"rows": [row(i, question="Else?") for i in range(6)]}, "6 of 6 ids have another question"),
    "options": ({"task": {"options": {"cycles": 4}}}, "the task's options differ (cycles 4 None)"),
    "judge": ({"config": {"judge": {"model": "gpt"}}}, "the judges differ ({'model': 'gpt'}; None)"),
    "prompt": (
        {"config": {"protocol": {"name": "metis", "system_prompt": "ffff", "tools": ["python"]}}},
        "the system prompts differ",
    ),
}


@pytest.mark.parametrize("word", sorted(DIFFERENT))
def test_what_differs_is_named_and_can_be_allowed_and_is_recorded(tmp_path: Path, word: str) -> None:
    changes, said = DIFFERENT[word]
    new, old = two(tmp_path, **changes)
    text = refused(new, old)
    assert f"the new run ({new}) cannot be compared with the baseline ({old}): {said}" in text
    assert f"--allow-different {word}" in text
    result = run_gate(new, str(old), allow_different=[word])
    assert [override.split(":")[0] for override in result.overrides] == [word]
    assert said in result.overrides[0]
    # and so it is with an archived baseline
    file = save_baseline(old, tmp_path / "b")
    assert said in refused(new, file)
    assert run_gate(new, str(file), allow_different=(word,)).overrides == result.overrides


def test_another_scorer_or_first_prompt_is_refused(tmp_path: Path) -> None:
    def changed(change: Callable[[Any], Any]) -> list[Any]:
        return [change(row(i)) for i in range(6)]

    replace = msgspec.structs.replace
    cases = {
        "scorers": lambda r: replace(r, outcome=replace(r.outcome, scorer="numbers/2")),
        "prompt": lambda r: replace(r, trajectory=replace(r.trajectory, prompt="Think first.")),
    }
    for word, change in cases.items():
        new, old = two(tmp_path / word, rows=changed(change))
        said = refused(new, old)
        assert f"--allow-different {word}" in said
    scored = tmp_path / "scorers"
    assert "scored by different rules (numbers/2; numbers/1)" in refused(scored / "new", scored / "old")


def test_several_differences_are_a_line_each(tmp_path: Path) -> None:
    new, old = two(tmp_path, task={"options": {"a": 1}}, config={"judge": {"model": "x"}})
    with pytest.raises(EvalkitError) as caught:
        run_gate(new, str(old))
    assert len(str(caught.value).splitlines()) == 2
    assert "--allow-different options" in refused(new, old, allow_different=["judge"])


def test_no_id_in_common_cannot_be_allowed(tmp_path: Path) -> None:
    new, old = two(tmp_path, rows=[row(f"x{i}") for i in range(6)])
    said = refused(new, old, allow_different=["task", "questions"])
    assert "no sample id in common" in said
    assert "--allow-different" not in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"allow_different": ["judges"]}, "nearest: judge"),
        ({"confidence": 95.0}, "between 0.5 and 1, not 95"),
        ({"confidence": 0.5}, "between 0.5 and 1"),
        ({"rules": [parse_rule("calls:max:1", task="other")]}, "no rule is for task numbers"),
        ({"rules": [parse_rule("calls:max:1"), parse_rule("calls:max:2")]}, "contradict each other"),
        ({"rules": [parse_rule("calls:max:1", category="evn")]}, "unknown category of numbers 'evn'; nearest: even"),
    ],
)
def test_usage_errors(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    rows = [row(i, category="even") for i in range(6)]
    new, old = two(tmp_path, rows=rows, old=rows)
    assert said in refused(new, old, **options)


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        ("nowhere", "there is no such run folder or file"),
        ("x" * 5000, "File name too long"),
        ("a\x00b", "there is no such run folder or file"),
        ("a\x1b[2Jb\nc", "there is no such run folder or file"),
    ],
)
def test_a_baseline_that_is_not_there(baseline: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        open_baseline(baseline)
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_folder_that_is_no_run_and_a_run_without_rows(tmp_path: Path) -> None:
    new, _ = two(tmp_path)
    (tmp_path / "folder").mkdir()
    assert "is not a run folder: it has no run.json" in refused(new, tmp_path / "folder")
    empty = write_run(tmp_path / "empty", [])
    assert "has no finished trajectory" in refused(new, empty)
    with pytest.raises(NothingEvaluatedError, match="nothing was evaluated"):
        run_gate(empty, str(tmp_path / "old"))
    with pytest.raises(DataError, match="is not a run folder"):
        run_gate(tmp_path / "folder", str(tmp_path / "old"))


def test_a_corrupt_line_of_either_run_is_named(tmp_path: Path) -> None:
    new, old = two(tmp_path)
    for folder in (old, new):
        file = folder / "samples.jsonl"
        whole = file.read_bytes()
        file.write_bytes(b"{broken\n" + whole)
        assert f"{file} line 1 is corrupt" in refused(new, old)
        file.write_bytes(whole)


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    """What an archive holds, to be spoilt."""
    _, old = two(tmp_path)
    found: dict[str, Any] = json.loads(gzip.decompress(save_baseline(old, tmp_path / "b").read_bytes()))
    return found


def spoilt(tmp_path: Path, content: object) -> str:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (tmp_path / "b").write_bytes(gzip.compress(text))
    return refused(tmp_path / "new", tmp_path / "b")


def test_an_archive_of_a_newer_version_is_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    said = spoilt(tmp_path, {**content, "version": 2, "evalkit": "9.9\x1b[2J", "rows": "another form"})
    assert "is a baseline of version 2 (evalkit 9.9 [2J); this evalkit reads up to 1" in said
    assert "update evalkit" in said


CHANGES: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("another format", lambda c: {**c, "format": "x"}, "is no archived baseline"),
    ("a list", lambda c: [c], "is damaged"),
    ("no version", lambda c: {k: v for k, v in c.items() if k != "version"}, "is damaged"),
    ("version 0", lambda c: {**c, "version": 0}, "of version 0"),
    ("no JSON", lambda c: b"{", "is damaged"),
    ("no text", lambda c: b"\xff\xfe", "is damaged"),
    ("nested", lambda c: b'{"format":"evalkit-baseline","version":1,"x":' + b"[" * 100_000, "is damaged"),
    ("no column", lambda c: (c["rows"].pop("verdict"), c)[1], "is damaged"),
    ("short column", lambda c: (c["rows"]["verdict"].pop(), c)[1], "columns differ in length"),
    ("short column of samples", lambda c: (c["samples"]["images"].pop(), c)[1], "columns differ in length"),
    ("unknown verdict", lambda c: (c["rows"]["verdict"].__setitem__(0, "fine"), c)[1], "is damaged"),
    ("a text for a number", lambda c: (c["rows"]["seconds"].__setitem__(0, "1"), c)[1], "is damaged"),
    ("negative calls", lambda c: (c["rows"]["calls"].__setitem__(0, -1), c)[1], "is damaged"),
    ("endless seconds", lambda c: (c["rows"]["seconds"].__setitem__(0, 1e300), c)[1], "is damaged"),
    ("too many succeeded", lambda c: (c["rows"]["calls_ok"].__setitem__(0, 9), c)[1], "more calls succeeded than ran"),
    ("no such sample", lambda c: (c["rows"]["sample"].__setitem__(0, 99), c)[1], "a sample that is not there"),
    ("a row twice", lambda c: (c["rows"]["sample"].__setitem__(0, 1), c)[1], "a trajectory stands in it twice"),
    ("an id twice", lambda c: (c["samples"]["id"].__setitem__(0, "1"), c)[1], "a sample stands in it twice"),
    ("no agent", lambda c: (c["rows"].__setitem__("arm", ["direct"] * 6), c)[1], "no trajectory of the agent"),
    ("no task", lambda c: (c["info"]["config"].pop("task"), c)[1], "its config names no task"),
    ("no config", lambda c: (c["info"].pop("config"), c)[1], "is damaged"),
]


@pytest.mark.parametrize(("change", "said"), [each[1:] for each in CHANGES], ids=[each[0] for each in CHANGES])
def test_a_damaged_archive_is_one_line(
    tmp_path: Path, content: dict[str, Any], change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    text = spoilt(tmp_path, change(content))
    assert said in text
    assert str(tmp_path / "b") in text


def test_packed_data_that_is_cut_long_or_of_another_kind(tmp_path: Path, content: dict[str, Any]) -> None:
    packed = gzip.compress(json.dumps(content).encode())
    new, file = tmp_path / "new", tmp_path / "b"
    for data, said in {
        b"": "is no archived baseline",
        b"PK\x03\x04": "is no archived baseline",
        packed[:-12]: "its end is missing",
        packed[:20]: "its end is missing",
        packed[:30] + b"\xff" * 30 + packed[60:]: "is damaged",
        packed + packed: "something follows its end",
    }.items():
        file.write_bytes(data)
        assert said in refused(new, file)


def test_a_file_that_unpacks_without_end_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new, _ = two(tmp_path)
    monkeypatch.setattr(archive, "MAX_TEXT", 2**20)
    (tmp_path / "bomb").write_bytes(gzip.compress(b" " * 2**24))
    assert "it unpacks to more than 1 MB" in refused(new, tmp_path / "bomb")
    monkeypatch.setattr(archive, "MAX_FILE", 2**20)
    (tmp_path / "large").write_bytes(b"\x1f\x8b" + b"x" * 2**20)
    assert "it is larger than 1 MB" in refused(new, tmp_path / "large")


def test_an_archive_that_cannot_be_written(tmp_path: Path) -> None:
    _, old = two(tmp_path)
    with pytest.raises(DataError, match="is a folder: name a file"):
        save_baseline(old, tmp_path)
    with pytest.raises(InfrastructureError, match="there is no folder"):
        save_baseline(old, tmp_path / "none" / "b")
    with pytest.raises(DataError, match="is not a run folder"):
        save_baseline(tmp_path / "none", tmp_path / "b")


@pytest.mark.parametrize("figures", [{"seconds": 1e300}, {"seconds": -1.0}, {"tokens": -5}])
def test_a_run_with_impossible_figures_makes_no_baseline_that_nobody_can_read(
    tmp_path: Path, figures: dict[str, Any]
) -> None:
    run = write_run(tmp_path / "run", [row(i, **figures) for i in range(4)])
    with pytest.raises(DataError, match="makes no baseline") as caught:
        save_baseline(run, tmp_path / "b")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("seconds", [1e300, -1.0])
def test_times_that_no_sample_takes_are_no_figure(tmp_path: Path, seconds: float) -> None:
    times = [row(i, seconds=seconds if i == 3 else 1.0) for i in range(40)]
    new, old = two(tmp_path, rows=times, old=[row(i) for i in range(40)])
    result = run_gate(new, str(old), [parse_rule("latency_p50:max:+20%")])
    assert result.exit_code is ExitCode.INFRASTRUCTURE
    assert f"a sample is said to have taken {seconds:.4g} s" in result.checks[0].why


def test_a_folder_whose_name_is_no_text_is_named_in_every_output(tmp_path: Path) -> None:
    rows = [row(i) for i in range(6)]
    try:
        folder = write_run(Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff")), rows)
    except OSError:
        pytest.skip("this file system takes no such name")
    result = run_gate(folder, folder)
    for write in (as_json, as_junit, as_markdown):
        assert "xff" in write([result])
        write([result]).encode()


HOSTILE = "\x1b[2J\x1b]0;owned\x07 \u202eevil\u202c"


def test_hostile_words_reach_messages_as_plain_text(tmp_path: Path) -> None:
    new, old = two(tmp_path, task={"options": {f"a{HOSTILE}": HOSTILE}}, config={"judge": {"model": HOSTILE}})
    for line in (refused(new, old, allow_different=["judge"]), refused(new, old, allow_different=["options"])):
        assert line.isprintable()
    result = run_gate(new, str(old), allow_different=["judge", "options"])
    assert all(text.isprintable() for text in (*result.overrides, *result.notes))


def test_images_with_other_bytes_are_refused(tmp_path: Path) -> None:
    def shown(colour: tuple[int, int, int]) -> list[Any]:
        image = ImageFile.from_pil(Image.new("RGB", (8, 8), colour), "a.png")
        return [row(i, images=(image,)) for i in range(4)]

    new, old = two(tmp_path, old=shown((1, 2, 3)), rows=shown((3, 2, 1)))
    said = refused(new, old)
    assert "the images have other bytes on 4 of 4 samples; --allow-different images" in said
    assert run_gate(new, str(old), allow_different=["images"]).overrides[0].startswith("images: ")
