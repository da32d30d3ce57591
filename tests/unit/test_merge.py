"""Merged shards are the run that nobody cut: its rows, its figures, its images and its searches."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from evalkit import ImageFile
from evalkit.analysis import summarise
from evalkit.analysis.boards import make_boards
from evalkit.analysis.marks import UNFINISHED
from evalkit.analysis.task_opener import TaskOpener
from evalkit.images import encode_hook
from evalkit.records import DIRECT, ISOLATED, Record
from evalkit.runs.append import AppendFile
from evalkit.runs.arms import Arms, planned
from evalkit.runs.folder import read_info, write_info
from evalkit.runs.merge import merged_info, shards_of
from evalkit.runs.merge_files import merging
from evalkit.runs.merge_rows import rows_of
from evalkit.runs.shard import Shard
from evalkit.runs.store import RunStore, latest_records, read_records
from evalkit.search import Ended, Hit, Kind, Line, Search
from evalkit.search.line import read_lines
from tests.run_folders import row
from tests.shard_runs import write_shard, write_shards


def merge(folders: list[Path], out: Path) -> Path:
    read = rows_of(shards_of(folders))
    with merging(out, None, merged_info([one.run for one in read])) as made:
        made.fill(read)
        return made.publish()


def picture(index: int) -> ImageFile:
    return ImageFile.from_pil(Image.new("RGB", (8, 8), (index, 0, 0)), f"{index}.png")


def every_arm(arms: Arms, count: int = 12) -> list[Record]:
    """All rows of a run under these arms."""
    samples = [row(index).sample for index in range(count)]
    jobs = [job for part in planned(samples, arms) for job in part]
    return [
        row(job.sample.id, int(job.sample.id) % 3 > 0, arm=job.arm, repeat=job.repeat, calls=int(job.sample.id) % 2)
        for job in jobs
    ]


@pytest.mark.parametrize("count", [1, 3, 12])
def test_the_figures_are_those_of_a_run_in_one(tmp_path: Path, count: int) -> None:
    arms = Arms(names=("agent", DIRECT), repeats=2, again=5, isolated=3)
    every = every_arm(arms)
    folders = []
    for index in range(1, count + 1):
        shard = Shard(index, count)
        mine = {str(id) for id in shard.of(range(12))}
        own = [record for record in every if record.sample.id in mine]
        folders.append(write_shard(tmp_path / f"s{index}", shard, own, 12, arms))
    merged = merge(folders[::-1], tmp_path / "out")
    info, records = read_info(merged), latest_records(merged)
    assert records == {record.key: record for record in every}
    assert (info.shard, info.merged, info.due_rows) == (None, count, 12)
    assert len(info.sessions) == count
    task = TaskOpener()(info)
    whole, joined = (summarise(task, "m", 12, rows) for rows in (every, list(records.values())))
    assert joined.done == 12
    assert joined.rollouts is not None
    assert joined.repeat is not None
    assert alike(whole) == alike(joined)


def alike(summary: object) -> object:
    """Figures to twelve digits: sums do not know the order of their terms to the last one."""

    def cut(tree: object) -> object:
        if isinstance(tree, dict):
            return {key: cut(value) for key, value in tree.items()}
        if isinstance(tree, list | tuple):
            return [cut(value) for value in tree]
        return float(f"{tree:.12g}") if isinstance(tree, float) else tree

    return cut(msgspec.to_builtins(summary))


def test_only_valid_lines_and_their_images_are_taken_over(tmp_path: Path) -> None:
    old, new = picture(1), picture(2)
    folders = write_shards(tmp_path, 2, [row("a", images=(old,)), row("b", images=(old,))])
    with RunStore(folders[0]) as store:
        store.append(row("a", False, images=(new,)))
    merged = merge(folders, tmp_path / "out")
    found = list(read_records(merged))
    assert [(record.sample.id, record.outcome.right()) for record in found] == [("a", False), ("b", True)]
    assert {image.name for image in (merged / "images").iterdir()} == {old.header.filename, new.header.filename}
    assert all(image.read() for record in found for image in record.sample.images)
    # the same file on the disk, not a second one
    assert (merged / "images" / new.header.filename).stat().st_nlink == 2
    again = merge(write_shards(tmp_path / "again", 2, [row("a", images=(old,)), row("b")]), tmp_path / "out")
    assert [image.name for image in (again / "images").iterdir()] == [old.header.filename]


def test_where_files_cannot_be_linked_they_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    folders = write_shards(tmp_path, 2, [row("a", images=(picture(1),)), row("b", images=(picture(1),))])
    merged = merge(folders, tmp_path / "out")
    (image,) = (merged / "images").iterdir()
    assert image.read_bytes() == picture(1).read()
    assert image.stat().st_nlink == 1


def test_searches_of_all_shards_are_there(tmp_path: Path) -> None:
    folders = write_shards(tmp_path, 3)
    for index, folder in enumerate(folders[:2]):
        thumbnail = picture(index)
        (folder / "thumbnails").mkdir()
        (folder / "thumbnails" / thumbnail.header.filename).write_bytes(thumbnail.read())
        (folder / "thumbnails" / ".half.written").write_bytes(b"x")
        search = Search(kind=Kind.TEXT, sample=str(index), results=3, chars=10, query=f"q{index}")
        line = Line(provider="p", search=search, status=Ended.OK, hits=(Hit(title="t", thumbnail=thumbnail),))
        file = AppendFile(folder / "searches.jsonl")
        file.append(msgspec.json.encode(line, enc_hook=encode_hook) + b"\n")
        file.close()
        with (folder / "searches.jsonl").open("ab") as torn:
            torn.write(b'{"torn')
    merged = merge(folders, tmp_path / "out")
    found = list(read_lines(merged / "searches.jsonl"))
    assert [line.search.query for line in found] == ["q0", "q1"]
    assert all(hit.thumbnail and hit.thumbnail.read() for line in found for hit in line.hits)
    assert len(list((merged / "thumbnails").iterdir())) == 2
    assert not (merge(write_shards(tmp_path / "none", 2), tmp_path / "out") / "searches.jsonl").exists()


def test_run_json_says_what_it_was_made_of(tmp_path: Path) -> None:
    folders = write_shards(tmp_path, 2)
    first = msgspec.structs.replace(
        read_info(folders[0]), created="2026-01-05T00:00:00Z", judge={"asked": 3, "cached": 1, "engine": {"model": "j"}}
    )
    first.sessions[0].started = "2026-01-05T00:00:00Z"
    write_info(folders[0], first)
    second = msgspec.structs.replace(
        read_info(folders[1]), created="2026-01-02T00:00:00Z", evalkit="9.9", judge={"asked": 2, "engine": {}}
    )
    write_info(folders[1], second)
    info = read_info(merge(folders, tmp_path / "out"))
    assert info.created == "2026-01-02T00:00:00Z"
    assert [session.started for session in info.sessions] == ["2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z"]
    assert info.judge == {"asked": 5, "cached": 1, "engine": {"model": "j"}}
    assert info.notes == [
        "its shards were run by different versions of evalkit: 0.1.0, 9.9",
        "merged from 2 shards, each run by a command of its own",
    ]
    assert info.config_hash == first.config_hash


def test_a_later_start_may_ask_for_more(tmp_path: Path) -> None:
    folders = write_shards(tmp_path, 2)
    info = read_info(folders[0])
    more = msgspec.structs.replace(info.sessions[0], arms=Arms(isolated=2))
    write_info(folders[0], msgspec.structs.replace(info, sessions=[*info.sessions, more]))
    # 2 of 10 rows are rows 0 and 5: one in each shard
    for folder, id in zip(folders, ("0", "5"), strict=True):
        with RunStore(folder) as store:
            store.append(row(id, arm=ISOLATED))
    assert len(latest_records(merge(folders, tmp_path / "out"))) == 12


def test_a_lone_shard_is_marked_on_a_board(tmp_path: Path) -> None:
    (folder, _) = write_shards(tmp_path, 2)
    boards, _ = make_boards([folder], processes=1)
    (entry,) = boards.boards[0].entries
    assert [(mark.kind, mark.serious) for mark in entry.marks] == [(UNFINISHED, True)]
    assert entry.marks[0].text == "shard 1 of 2: 5 of 10 rows; evalkit merge joins all shards"
