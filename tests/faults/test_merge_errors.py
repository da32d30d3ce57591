"""Shards that are not all of one run, each once and whole, are not merged; a merge that breaks off leaves no run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from evalkit import ImageFile, Verdict
from evalkit.errors import DataError, EvalkitError, InfrastructureError
from evalkit.records import AGAIN, DIRECT, Prices, Record
from evalkit.runs.arms import Arms
from evalkit.runs.find import is_run, runs_in
from evalkit.runs.folder import read_info, write_info
from evalkit.runs.lock import RunLock
from evalkit.runs.merge import merged_info, shards_of
from evalkit.runs.merge_files import merging
from evalkit.runs.merge_rows import rows_of
from evalkit.runs.plan import config_hash
from evalkit.runs.shard import Shard
from evalkit.runs.store import RunStore, latest_records
from tests.conftest import Cli
from tests.run_folders import row, write_run
from tests.shard_runs import write_shard, write_shards


def refusal(folders: list[Path]) -> str:
    """Why they are not merged."""
    with pytest.raises(EvalkitError) as refused:
        rows_of(shards_of(folders))
    return str(refused.value)


def rows(count: int, arm: str = "agent") -> list[Record]:
    return [row(index, arm=arm) for index in range(count)]


def merge_all(folders: list[Path], out: Path) -> Path:
    read = rows_of(shards_of(folders))
    with merging(out, None, merged_info([one.run for one in read])) as made:
        made.fill(read)
        return made.publish()


def test_another_configuration_is_named(tmp_path: Path) -> None:
    folders = write_shards(tmp_path)
    info = read_info(folders[1])
    config = {**info.config, "sampling": {"temperature": 0.7}, "limits": {"turns": 5}}
    write_info(folders[1], msgspec.structs.replace(info, config=config, config_hash=config_hash(config)))
    why = refusal(folders)
    assert f"{folders[1]} (shard 2/3) is of another configuration than {folders[0]}" in why
    assert "limits.turns: 4 -> 5; sampling.temperature: 0.0 -> 0.7" in why


def test_missing_and_doubled_shards_are_named_at_once(tmp_path: Path) -> None:
    folders = write_shards(tmp_path, 5)
    copy = write_shard(tmp_path / "copy", Shard(2, 5), [], 10)
    lines = refusal([folders[0], folders[1], copy, folders[3]]).splitlines()
    assert lines == [
        f"shard 2/5 is there 2 times: {folders[1]}, {copy}; name one",
        "of 5 shards 2 are not named: 3, 5",
    ]


def test_very_many_missing_shards_are_one_line(tmp_path: Path) -> None:
    only = write_shard(tmp_path / "s", Shard(1, 500), rows(2), 1000)
    assert refusal([only]) == "of 500 shards 499 are not named: 2, 3, 4, 5, 6, 7, 8, 9 and 491 more"


def test_shards_of_another_cut(tmp_path: Path) -> None:
    folders = [*write_shards(tmp_path / "a", 3)[:1], *write_shards(tmp_path / "b", 2)[1:]]
    assert "is cut otherwise than" in refusal(folders)


def test_a_run_without_shards_is_named(tmp_path: Path) -> None:
    folders = write_shards(tmp_path / "shards", 2)
    whole = write_run(tmp_path / "whole", rows(3))
    assert f"{whole} is not a shard: it has all rows already" in refusal([*folders, whole])
    merged = merge_all(folders, tmp_path / "merged")
    assert f"{merged} is not a shard: it is merged already" in refusal([*folders, merged])
    with pytest.raises(DataError, match="is not a run folder"):
        shards_of([tmp_path / "none"])
    assert "there is nothing to merge" in refusal([])


def test_an_unfinished_shard_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    folders = write_shards(tmp_path)
    file = folders[2] / "samples.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    # the last line is torn, as a kill may leave it
    file.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    why = f"{folders[2]} (shard 3/3) is not finished: 1 of 3 rows are missing; run its command again"
    assert refusal(folders) == why


def test_arms_that_a_shard_lacks_are_named(tmp_path: Path) -> None:
    arms = Arms(names=("agent", DIRECT), again=4)
    every = rows(10)
    first = [*Shard(1, 2).of(every), *Shard(1, 2).of(rows(10, DIRECT)), row(0, arm=AGAIN), row(2, arm=AGAIN)]
    folders = [
        write_shard(tmp_path / "s1", Shard(1, 2), first, 10, arms),
        write_shard(tmp_path / "s2", Shard(2, 2), Shard(2, 2).of(every), 10),
    ]
    assert refusal(folders).splitlines() == [
        f"{folders[1]} (shard 2/2) is not finished: 5 of 5 rows of arm direct are missing; run its command again",
        f"{folders[1]} (shard 2/2) is not finished: 2 of 2 rows of arm again are missing; run its command again",
    ]


def test_forced_answers_are_due_for_every_call(tmp_path: Path) -> None:
    answers = Arms(forced_answers=True)
    every = [row("a", calls=2), row("b", Verdict.ENGINE_ERROR, calls=3), row("a", arm="answer@0")]
    alone = write_shard(tmp_path / "s", Shard(1, 1), every, 2, answers)
    assert refusal([alone]) == f"{alone} (shard 1/1) is not finished: 1 of 1 rows of arm answer@1 are missing; " + (
        "run its command again"
    )
    with RunStore(alone) as store:
        store.append(row("a", arm="answer@1"))
    assert rows_of(shards_of([alone]))


def test_a_row_in_two_shards_is_named(tmp_path: Path) -> None:
    folders = write_shards(tmp_path, 2)
    with RunStore(folders[1]) as store:
        store.append(row("0"))
    why = refusal(folders)
    assert f"1 rows of {folders[1]} (shard 2/2) are in {folders[0]} (shard 1/2) as well, e.g. '0'" in why
    assert f"{folders[1]} (shard 2/2) has 6 rows where 5 are its part: its files are not one run's" in why


def test_a_corrupt_line_is_named(tmp_path: Path) -> None:
    folders = write_shards(tmp_path)
    file = folders[0] / "samples.jsonl"
    file.write_bytes(b"{broken\n" + file.read_bytes())
    assert "samples.jsonl line 1 is corrupt" in refusal(folders)


def test_a_shard_that_is_being_filled_is_named(tmp_path: Path) -> None:
    folders = write_shards(tmp_path)
    with RunLock(folders[1]):
        assert f"{folders[1]} (shard 2/3) is still being filled by evalkit on host" in refusal(folders)
    assert rows_of(shards_of(folders))


def test_different_prices_and_direct_prompts_are_refused(tmp_path: Path) -> None:
    folders = write_shards(tmp_path / "a", 2)
    one, other = Prices(prompt=1, completion=2), Prices(prompt=1, completion=3)
    for folder, prices in zip(folders, (one, other), strict=True):
        write_info(folder, msgspec.structs.replace(read_info(folder), prices=prices))
    assert "have different prices; run one again with those of the other" in refusal(folders)
    write_info(folders[1], msgspec.structs.replace(read_info(folders[1]), prices=None))
    assert merged_info(shards_of(folders)).prices == one
    asked = [Arms(names=("agent", DIRECT), direct_system_prompt=prompt) for prompt in ("a", "b")]
    folders = [
        write_shard(tmp_path / f"p{index}", Shard(index, 2), [row(index), row(index, arm=DIRECT)], 2, arms)
        for index, arms in enumerate(asked, 1)
    ]
    assert "has a direct arm with another system prompt" in refusal(folders)


def test_what_is_there_is_never_overwritten(tmp_path: Path, cli: Cli) -> None:
    write_shards(tmp_path / "shards")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("precious")
    (tmp_path / "file").write_text("precious")
    for name in ("taken", "file", "shards/s1"):
        refused = cli("merge", "shards", "--run-dir", name)
        assert refused.returncode == 3
        assert f"{name} is there already; name another --run-dir" in refused.stderr
    assert [file.name for file in (tmp_path / "taken").iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    assert cli("merge", "shards", "--run-dir", "empty").returncode == 0
    assert len(latest_records(tmp_path / "empty")) == 10
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("broken", ["gone", "torn", "link"])
def test_an_image_that_is_not_what_its_row_says(tmp_path: Path, png: ImageFile, broken: str) -> None:
    alone = write_shard(tmp_path / "s", Shard(1, 1), [row("a", images=(png,))], 1)
    image = alone / "images" / png.header.filename
    data = image.read_bytes()
    image.unlink()
    if broken == "torn":
        image.write_bytes(data[:-1])
    elif broken == "link":
        (tmp_path / "secret").write_bytes(data)
        image.symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match=png.header.sha256):
        merge_all([alone], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_leaves_no_run(tmp_path: Path, cli: Cli) -> None:
    write_shards(tmp_path / "shards", rows=[row(index, text="word " * 2000) for index in range(10)])
    failed = cli("merge", "shards", "--out", "out", file_size=50_000)
    assert failed.returncode == 3
    assert "cannot write" in failed.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_an_unknown_task_leaves_no_run(tmp_path: Path, cli: Cli) -> None:
    folders = [
        write_run(tmp_path / "s", [row("a")], task={"name": "nobody's"}),
    ]
    write_info(folders[0], msgspec.structs.replace(read_info(folders[0]), shard=Shard(1, 1)))
    failed = cli("merge", "s", "--out", "out")
    assert failed.returncode == 2
    assert 'unknown task "nobody\'s"' in failed.stderr
    assert not (tmp_path / "out").exists()


KILLED = """
import sys, time
from pathlib import Path
from evalkit.runs.merge import merged_info, shards_of
from evalkit.runs.merge_files import merging
from evalkit.runs.merge_rows import rows_of
read = rows_of(shards_of([Path(name) for name in sys.argv[1:]]))
with merging(Path("out"), None, merged_info([one.run for one in read])) as made:
    made.fill(read)
    print("filled", flush=True)
    time.sleep(60)
"""


def test_a_killed_merge_leaves_nothing_that_looks_like_a_run(tmp_path: Path) -> None:
    folders = write_shards(tmp_path / "shards")
    command = [sys.executable, "-c", KILLED, *map(str, folders)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "filled\n"
    out = tmp_path / "out"
    try:
        assert [path.name[:7] for path in out.iterdir()] == [".merge-"]
        # one that goes on beside it takes nothing away
        assert len(latest_records(merge_all(folders, out))) == 10
        assert len(list(out.iterdir())) == 2
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    left = [path for path in out.iterdir() if path.name.startswith(".")]
    assert len(left) == 1
    assert not is_run(left[0])
    assert len(runs_in(out)) == 1
    merge_all(folders, out)
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    assert len(runs_in(out)) == 2


def test_another_machines_merge_is_left_alone(tmp_path: Path) -> None:
    folders = write_shards(tmp_path / "shards")
    other = tmp_path / "out" / ".merge-other"
    other.mkdir(parents=True)
    who = b'{"host": "node-7", "pid": 1, "started": "", "kernel": "another"}'
    (other / ".lock").write_bytes(who)
    merge_all(folders, tmp_path / "out")
    assert (other / ".lock").read_bytes() == who
    long_ago = time.time() - 3600
    os.utime(other / ".lock", (long_ago, long_ago))
    merge_all(folders, tmp_path / "out")
    assert not other.exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    folders = write_shards(tmp_path / "shards")
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match=r"cannot write .*choose another --out"):
        merge_all(folders, tmp_path / "file" / "out")
