"""Shards: which rows are whose, what their run folders say, and that no two are mixed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit import Sample
from evalkit.cli._run_folder import folder_for
from evalkit.errors import DataError, EvalkitError
from evalkit.records import DIRECT
from evalkit.runs.arms import Arms, planned
from evalkit.runs.folder import RunInfo, find_run, new_run_folder, read_info, write_info
from evalkit.runs.shard import Shard, read_shard

CONFIG = {"task": {"name": "numbers"}, "model": {"name": "m"}}
counts = st.integers(1, 50)


def info(shard: Shard | None = None, digest: str = "d", rows: int = 10) -> RunInfo:
    return RunInfo(evalkit="0.1.0", created="", config=CONFIG, config_hash=digest, expected_rows=rows, shard=shard)


def samples(count: int) -> list[Sample]:
    return [Sample(id=str(index), question="") for index in range(count)]


@given(counts, counts)
def test_what_a_user_writes_is_read(index: int, count: int) -> None:
    if index <= count:
        assert read_shard(f" {index}/{count} ") == Shard(index, count)
        assert read_shard(str(Shard(index, count))) == Shard(index, count)
    else:
        with pytest.raises(EvalkitError, match="with i from 1 to n"):
            read_shard(f"{index}/{count}")


@given(st.text())
def test_any_other_text_is_refused_in_one_line(text: str) -> None:
    if re.fullmatch(r"\s*[0-9]+\s*/\s*[0-9]+\s*", text):
        return
    with pytest.raises(EvalkitError) as refused:
        read_shard(text)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["", "2", "0/4", "5/4", "-1/4", "1/0", "1.0/2", "1/4/2", "a/b", "٢/٤", "1/99999999999"]
)
def test_shards_that_are_none(text: str) -> None:
    with pytest.raises(EvalkitError, match="write i/n"):
        read_shard(text)


@given(counts, st.integers(0, 200))
def test_shards_together_are_all_rows_each_once(count: int, rows: int) -> None:
    parts = [Shard(index, count) for index in range(1, count + 1)]
    found = [row for part in parts for row in part.of(range(rows))]
    assert sorted(found) == list(range(rows))
    assert [part.rows(rows) for part in parts] == [len(part.of(range(rows))) for part in parts]
    # neighbours are apart, and no shard has more than one row above another
    assert max(part.rows(rows) for part in parts) - min(part.rows(rows) for part in parts) <= 1


@given(st.integers(1, 7), st.integers(7, 60), st.integers(0, 60), st.integers(0, 60))
def test_what_runs_twice_or_alone_is_chosen_from_the_whole_benchmark(
    count: int, rows: int, again: int, isolated: int
) -> None:
    every = samples(rows)
    arms = Arms(names=("agent", DIRECT), again=again, isolated=isolated, repeats=2)
    whole = planned(every, arms)
    parts = [Shard(index, count) for index in range(1, count + 1)]
    for jobs in whole:
        found = [job.key for part in parts for job in part.jobs(jobs, every)]
        assert sorted(found) == sorted(job.key for job in jobs)


def test_more_shards_than_rows_are_refused() -> None:
    Shard(4, 4).check("numbers", 4)
    with pytest.raises(EvalkitError, match="--shard 1/5: numbers has 4 rows; take at most 4 shards"):
        Shard(1, 5).check("numbers", 4)


def test_a_shards_folder_says_so(tmp_path: Path) -> None:
    folder = new_run_folder(tmp_path, "m", "numbers", Shard(2, 4))
    assert folder.name.endswith("__shard-2-of-4")
    write_info(folder, info(Shard(2, 4)))
    found = read_info(folder)
    assert found.due_rows == 3
    assert found.expected_rows == 10
    assert found.notes == ["shard 2 of 4: 3 of 10 rows; evalkit merge joins all shards"]


@pytest.mark.parametrize("shard", ['{"index":0,"count":4}', '{"index":5,"count":4}', '{"index":1}', '"1/4"', "[1,4]"])
def test_a_damaged_shard_is_named(tmp_path: Path, shard: str) -> None:
    write_info(tmp_path, info(Shard(1, 4)))
    file = tmp_path / "run.json"
    text = file.read_text()
    file.write_text(text[: text.index('"shard"')] + f'"shard": {shard}, "merged": 0}}')
    with pytest.raises(DataError, match=r"cannot read .*run\.json"):
        read_info(tmp_path)


def test_a_shard_resumes_its_own_folder_and_no_other(tmp_path: Path) -> None:
    parts = [None, Shard(1, 2), Shard(2, 2), Shard(2, 3)]
    folders = {}
    for part in parts:
        folders[part] = folder_for(info(part), tmp_path, None, fresh=False)
        write_info(folders[part], info(part))
    assert len(set(folders.values())) == 4
    for part in parts:
        assert folder_for(info(part), tmp_path, None, fresh=False) == folders[part]
        assert find_run(tmp_path, "m", "numbers", "d", part) == folders[part]
        assert find_run(tmp_path, "m", "numbers", "other", part) is None
    for asked, words in ((None, "the whole run"), (Shard(1, 2), "shard 1/2"), (Shard(2, 3), "shard 2/3")):
        with pytest.raises(EvalkitError, match=f"holds shard 2/2, and {words} is asked for; name another --run-dir"):
            folder_for(info(asked), tmp_path, folders[parts[2]], fresh=False)
    with pytest.raises(EvalkitError, match="holds the whole run, and shard 1/2 is asked for"):
        folder_for(info(Shard(1, 2)), tmp_path, folders[None], fresh=False)
