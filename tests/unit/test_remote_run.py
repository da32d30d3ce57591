"""A run in object storage: filled on one machine and another, killed, fetched, and what may be lost or doubled."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import msgspec
import pytest
from PIL import Image

from evalkit import ImageFile, Record
from evalkit.errors import DataError, InfrastructureError
from evalkit.runs.folder import INFO, Session, read_info, write_info
from evalkit.runs.lock import clock
from evalkit.runs.remote import lock as locks
from evalkit.runs.remote import mirror as mirrors
from evalkit.runs.remote import run as runs
from evalkit.runs.remote.address import Address, address_of
from evalkit.runs.remote.bucket import Bucket, StoreError
from evalkit.runs.remote.lock import InUseError, StoreLock
from evalkit.runs.remote.run import RemoteRun, bring, bring_infos
from evalkit.runs.store import RunStore, latest_records
from tests.run_folders import row, write_run

Machine = Callable[[str], None]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SETTLE_S", 0.0)
    monkeypatch.setattr(mirrors, "_POLL_S", 0.01)
    monkeypatch.setattr(runs, "_LINES_S", 0.02)
    monkeypatch.setattr(runs, "PATIENCE_S", 0.2)
    monkeypatch.setattr(runs, "HURRY_S", 0.2)


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Go to a machine: each has a folder of its own."""

    def go(name: str) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))

    go("one")
    return go


@pytest.fixture(params=["memory", "file"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Address]:
    """An empty place in a store."""
    found = address_of(f"memory://{uuid4().hex}/r" if request.param == "memory" else f"file://{tmp_path}/store/r")
    yield found
    if found.store == "memory":
        fs = fsspec.filesystem("memory")
        fs.rm(f"/{found.parts[0]}", recursive=True) if fs.exists(f"/{found.parts[0]}") else None


def quiet(line: str) -> None:
    """Nobody listens."""


def pictured(id: str, colour: int) -> Record:
    """A row with an image."""
    image = ImageFile.from_pil(Image.new("RGB", (8, 8), (colour, 0, 0)), id)
    return row(id, images=(image,))


def begin(address: Address, *records: Record, say: Callable[[str], None] = quiet) -> RemoteRun:
    """Open the run and fill it; it is not closed."""
    run = RemoteRun(address, say)
    fill(run.folder, *records)
    return run


def fill(folder: Path, *records: Record) -> None:
    if not (folder / INFO).exists():
        made = write_run(folder.with_name(f"{folder.name}-made"), [], expected=4)
        (made / INFO).rename(folder / INFO)
    with RunStore(folder) as store:
        for record in records:
            store.append(record)


def verdicts(folder: Path) -> dict[str, str]:
    return {record.sample.id: str(record.outcome.verdict) for record in latest_records(folder).values()}


def killed(run: RemoteRun) -> None:
    """What a kill leaves: nothing is sent any more, the store's lock stays, the kernel frees this machine's."""
    run._lock._ended.set()
    run._mirror._push = lambda due, ending: False  # type: ignore[method-assign]
    run._mirror.finish(1)
    run._lock.release = lambda patience: None  # type: ignore[method-assign]
    run._opened.pop_all()
    for place in (run.folder.with_name(f".{run.folder.name}"),):
        for file in place.glob("*/.lock"):
            file.unlink()


def test_what_is_filled_on_one_machine_is_read_on_another(address: Address, on: Machine) -> None:
    run = begin(address, pictured("a", 10), pictured("b", 20), row("c", False))
    (run.folder / "summary.json").write_text("{}")
    assert run.close() == ""
    bytes_there = (run.folder / "samples.jsonl").read_bytes()
    assert locks.LOCK not in Bucket(address).sizes()

    on("two")
    folder = bring(address, quiet)

    assert folder != run.folder
    assert (folder / "samples.jsonl").read_bytes() == bytes_there
    assert (folder / "summary.json").read_text() == "{}"
    assert verdicts(folder) == {"a": "correct", "b": "correct", "c": "incorrect"}
    assert [image.read() for image in latest_records(folder)["a", "agent", 0].sample.images]


def test_images_are_left_where_nobody_looks_at_them(address: Address, on: Machine) -> None:
    begin(address, pictured("a", 10)).close()
    on("two")
    assert not list((bring(address, quiet, pictures=False) / "images").glob("*"))
    assert len(list((bring(address, quiet) / "images").glob("*"))) == 1


def test_lines_are_sent_while_the_run_goes_on_and_never_change(address: Address, on: Machine) -> None:
    run = RemoteRun(address, quiet)
    kept: dict[str, bytes] = {}
    bucket = Bucket(address)
    for number in range(4):
        fill(run.folder, row(number))
        wait_until(lambda: run._mirror.left() == 0)
        found = {name: data for name, data in bucket.read_all(bucket.sizes()) if name.startswith("samples/")}
        assert {name: found[name] for name in kept} == kept
        assert len(found) > len(kept)
        kept = found
    assert run.close() == ""


def wait_until(true: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(2000):
        if true():
            return
        done.wait(0.01)
    raise AssertionError("it never came true")


def test_no_line_is_in_the_store_before_its_images(
    address: Address, on: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Bucket.put
    missing: list[str] = []

    def watched(self: Bucket, objects: Mapping[str, bytes]) -> None:
        put(self, objects)
        there = self.sizes()
        for name, data in self.read_all({n: s for n, s in there.items() if n.startswith("samples/")}):
            for line in data.splitlines():
                for image in json.loads(line)["sample"]["images"]:
                    if f"images/{image['sha256']}.png" not in there:
                        missing.append(name)

    monkeypatch.setattr(Bucket, "put", watched)
    run = RemoteRun(address, quiet)
    for number in range(20):
        fill(run.folder, pictured(str(number), number))
    assert run.close() == ""
    assert not missing


def test_what_a_kill_left_here_alone_is_sent_by_the_next_start(address: Address, on: Machine) -> None:
    run = begin(address, row("a"))
    wait_until(lambda: run._mirror.left() == 0)
    killed(run)
    fill(run.folder, row("b"), row("c", False))
    with (run.folder / "samples.jsonl").open("ab") as file:
        file.write(b'{"version":1,"sample":{"id":"torn')
    said: list[str] = []

    again = RemoteRun(address, said.append)
    assert again.close() == ""

    assert any("was left locked by evalkit on host" in line and "taken over" in line for line in said)
    on("two")
    assert verdicts(bring(address, quiet)) == {"a": "correct", "b": "correct", "c": "incorrect"}


def test_what_two_machines_added_is_joined_and_said(
    address: Address, on: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(address, row("a"))
    wait_until(lambda: run._mirror.left() == 0)
    killed(run)
    fill(run.folder, row("b", True), row("c", True))
    Bucket(address).remove(locks.LOCK)
    on("two")
    other = begin(address, row("b", False), row("d", False))
    assert other.close() == ""
    on("one")
    said: list[str] = []

    assert RemoteRun(address, said.append).close() == ""

    assert "1 trajectories that only this machine had are there from elsewhere too, and those count; 1 more" in said[0]
    expected = {"a": "correct", "b": "incorrect", "d": "incorrect", "c": "correct"}
    assert verdicts(run.folder) == expected
    on("three")
    assert verdicts(bring(address, quiet)) == expected


def test_starts_that_a_store_has_not_heard_of_are_kept(address: Address, on: Machine) -> None:
    run = begin(address, row("a"))
    assert run.close() == ""
    here = read_info(run.folder)
    here.sessions.append(Session(started="2026-02-02T00:00:00Z", concurrency=1, notes=["only here"]))
    on("two")
    other = RemoteRun(address, quiet)
    there = read_info(other.folder)
    there.sessions.append(Session(started="2026-03-03T00:00:00Z", concurrency=1))
    write_info(other.folder, there)
    assert other.close() == ""
    on("one")
    write_info(run.folder, here)

    again = RemoteRun(address, quiet)
    assert again.close() == ""

    assert [session.started[:7] for session in read_info(again.folder).sessions] == ["2026-01", "2026-02", "2026-03"]
    on("three")
    assert "only here" in read_info(bring(address, quiet)).notes


def test_a_second_evalkit_is_refused_here_and_elsewhere(address: Address, on: Machine) -> None:
    run = begin(address, row("a"))
    with pytest.raises(InUseError, match=r"is in use by another evalkit on host .*, process \d+"):
        RemoteRun(address, quiet)
    on("two")
    with pytest.raises(InUseError, match=r"is in use by another evalkit on host .*, process \d+.*last sign of life"):
        RemoteRun(address, quiet)
    assert run.close() == ""
    assert RemoteRun(address, quiet).close() == ""


def test_a_lock_of_another_machine_is_taken_over_once_it_gives_no_sign_of_life(
    address: Address, on: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_BEAT_S", 0.02)
    run = begin(address, row("a"))
    wait_until(lambda: run._mirror.left() == 0)
    killed(run)
    on("two")
    wait_until(lambda: _age(address) > 6 * 0.02)
    said: list[str] = []
    other = begin(address, row("b"), say=said.append)
    assert any("watching for" in line for line in said)
    assert any("taken over" in line for line in said)
    assert other.close() == ""
    assert set(verdicts(other.folder)) == {"a", "b"}


def test_one_whose_clock_is_wrong_is_not_robbed(address: Address, on: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_BEAT_S", 0.02)
    now = locks.time.time
    monkeypatch.setattr(locks.time, "time", lambda: now() - 3600)
    run = begin(address, row("a"))
    monkeypatch.setattr(locks.time, "time", now)
    on("two")
    run._lock._words = lambda: msgspec.json.encode(msgspec.structs.replace(run._lock._sign, at=now() - 3600))  # type: ignore[method-assign]
    with pytest.raises(InUseError):
        RemoteRun(address, quiet)
    assert run.close() == ""


def test_one_that_was_taken_over_finds_out_and_sends_no_more(
    address: Address, on: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_BEAT_S", 0.02)
    run = begin(address, row("a"))
    wait_until(lambda: run._mirror.left() == 0)
    sign = msgspec.json.decode(Bucket(address).read(locks.LOCK) or b"", type=locks.Sign)
    thief = msgspec.structs.replace(sign, token="another", host="elsewhere", pid=7)

    def robbed() -> bool:
        # again where its own sign of life came at the same moment: a thief of evalkit's looks whether its own stands
        Bucket(address).put({locks.LOCK: msgspec.json.encode(thief)})
        return bool(run._lock.lost)

    wait_until(robbed)
    fill(run.folder, row("b"))
    why = run.close()
    assert "1 rows of it are in" in why
    assert "was taken over by evalkit on host elsewhere, process 7" in why
    assert Bucket(address).read(locks.LOCK) is not None
    on("two")
    assert set(verdicts(bring(address, quiet))) == {"a"}


def test_a_store_that_stays_away_costs_nothing_but_time(
    address: Address, on: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Bucket.put

    def down(self: Bucket, objects: Mapping[str, bytes]) -> None:
        raise StoreError(f"cannot write {self}: the wire is cut")

    said: list[str] = []
    run = begin(address, row("a"), say=said.append)
    wait_until(lambda: run._mirror.left() == 0)
    monkeypatch.setattr(Bucket, "put", down)
    fill(run.folder, row("b"), row("c"))
    wait_until(lambda: bool(said))
    why = run.close()
    assert said == [
        f"note: cannot write {address}: the wire is cut; the run goes on, and what the store lacks is sent later"
    ]
    assert why == (
        f"{address} is not complete: 2 rows of it are in {run.folder} alone (cannot write {address}: the wire is cut); "
        "run the same command again to send it"
    )
    monkeypatch.setattr(Bucket, "put", put)
    assert RemoteRun(address, quiet).close() == ""
    on("two")
    assert set(verdicts(bring(address, quiet))) == {"a", "b", "c"}


def test_a_store_that_comes_back_gets_what_it_lacks(
    address: Address, on: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, failures = Bucket.put, iter(range(3))

    def shaky(self: Bucket, objects: Mapping[str, bytes]) -> None:
        if next(failures, None) is not None:
            raise StoreError(f"cannot write {self}: 503 slow down")
        put(self, objects)

    said: list[str] = []
    run = RemoteRun(address, said.append)
    monkeypatch.setattr(mirrors, "_LONGEST_PAUSE_S", 0.01)
    monkeypatch.setattr(Bucket, "put", shaky)
    fill(run.folder, row("a"), row("b"))
    wait_until(lambda: run._mirror.left() == 0)
    assert run.close() == ""
    assert said[-1] == f"note: {address} takes what it is sent again"


def test_a_store_that_never_answers_does_not_hold_up_the_end(
    address: Address, on: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "_LAST_PAUSE_S", 0.1)
    run = begin(address, row("a"))
    wait_until(lambda: run._mirror.left() == 0)
    silence = threading.Event()
    monkeypatch.setattr(Bucket, "put", lambda self, objects: silence.wait())
    fill(run.folder, row("b"))
    try:
        assert "1 rows of it are in" in run.close(hurry=True)
    finally:
        silence.set()


@pytest.mark.parametrize("harm", ["gap", "damaged", "two", "picture"])
def test_damage_in_the_store_is_named(address: Address, on: Machine, harm: str) -> None:
    run = RemoteRun(address, quiet)
    for number in range(3):
        fill(run.folder, pictured(str(number), number))
        wait_until(lambda: run._mirror.left() == 0)
    assert run.close() == ""
    bucket = Bucket(address)
    names = sorted(name for name in bucket.sizes() if name.startswith("samples/"))
    picture = next(name for name in bucket.sizes() if name.startswith("images/"))
    if harm == "gap":
        bucket.remove(names[1])
    elif harm == "damaged":
        bucket.put({names[1]: (bucket.read(names[1]) or b"").replace(b"correct", b"corrupt")})
    elif harm == "two":
        bucket.put({f"{names[1][:14]}-0123456789abcdef.jsonl": b"{}\n"})
    else:
        bucket.put({picture: b"\0" * bucket.sizes()[picture]})
    words = {"gap": "lacks samples/000002", "damaged": f"{names[1]} is damaged", "two": "two evalkits wrote to it"}
    on("two")
    with pytest.raises(DataError, match=words.get(harm, f"{picture} is damaged")):
        bring(address, quiet)


def test_a_run_that_is_gone_from_the_store_is_set_aside_here(address: Address, on: Machine) -> None:
    run = begin(address, row("a"))
    assert run.close() == ""
    bucket = Bucket(address)
    for name in bucket.sizes():
        bucket.remove(name)
    said: list[str] = []
    again = RemoteRun(address, said.append)
    assert "has no run there any more; this machine's copy of the earlier one is in" in said[0]
    assert not (again.folder / INFO).exists()
    assert verdicts(Path(said[0].rpartition(" is in ")[2])) == {"a": "correct"}
    assert again.close() == ""


def test_a_folder_of_runs_is_the_stores(address: Address, on: Machine) -> None:
    out = Address(address.store, address.parts[:-1])
    for name in ("r", "s"):
        assert begin(out / name, row("a")).close() == ""
    on("two")
    assert bring_infos(out, quiet) == [out / "r", out / "s"]
    assert read_info(out.spool / "s").config["task"]["name"] == "numbers"
    assert not (out.spool / "s" / "samples.jsonl").exists()


def test_a_run_folder_that_was_copied_there_by_hand_is_one(address: Address, on: Machine, tmp_path: Path) -> None:
    made = write_run(tmp_path / "made", [pictured("a", 1), row("b")], expected=3)
    Bucket(address).put({str(file.relative_to(made)): file.read_bytes() for file in made.rglob("*") if file.is_file()})
    assert set(verdicts(bring(address, quiet))) == {"a", "b"}
    said: list[str] = []
    run = begin(address, row("c"), say=said.append)
    assert run.close() == ""
    again = RemoteRun(address, said.append)
    assert again.close() == ""
    assert said == []
    on("two")
    folder = bring(address, quiet)
    assert list(verdicts(folder)) == ["a", "b", "c"]
    assert (folder / "samples.jsonl").read_bytes().count(b"\n") == 3


def test_an_image_that_is_half_written_is_not_sent(address: Address, on: Machine) -> None:
    run = begin(address, pictured("a", 1))
    whole = next((run.folder / "images").glob("*.png"))
    torn = whole.with_name("0" * 64 + ".png")
    torn.write_bytes(whole.read_bytes()[:20])
    why = run.close()
    assert "1 images in" in why
    assert "are not what their names say" in why
    assert not [name for name in Bucket(address).sizes() if "0" * 64 in name]


def test_what_a_kill_left_half_written_is_taken_away(on: Machine, tmp_path: Path) -> None:
    address = address_of(f"file://{tmp_path}/store/r")
    assert begin(address, row("a")).close() == ""
    torn = tmp_path / "store" / "r" / "samples" / ".000002-0123456789abcdef.jsonl.a1b2c3d4"
    torn.write_bytes(b'{"ver')
    mine = tmp_path / "store" / "r" / ".mine"
    mine.write_text("not evalkit's")
    assert bring(address, quiet)
    assert torn.exists(), "whoever reads takes nothing away: it may be written this moment"
    assert RemoteRun(address, quiet).close() == ""
    assert not torn.exists()
    assert mine.exists()


def test_what_else_is_in_the_store_stays_there(address: Address, on: Machine) -> None:
    assert begin(address, row("a")).close() == ""
    Bucket(address).put(
        {"notes/readme.txt": b"mine", "images/../../x.png": b"theirs"}
        if address.store == "memory"
        else {"notes/readme.txt": b"mine"}
    )
    on("two")
    folder = bring(address, quiet)
    assert not (folder / "notes").exists()
    assert not (folder.parent / "x.png").exists()


def test_a_new_run_takes_no_place_that_is_taken(address: Address, on: Machine) -> None:
    assert begin(address, row("a")).close() == ""
    on("two")
    with pytest.raises(InUseError, match="is there already"):
        RemoteRun(address, quiet, new=True)
    assert locks.LOCK not in Bucket(address).sizes()


def test_a_store_that_cannot_create_says_so(address: Address, on: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    init = Bucket.__init__

    def plain(self: Bucket, where: Address) -> None:
        init(self, where)
        self.exclusive = False

    monkeypatch.setattr(Bucket, "__init__", plain)
    said: list[str] = []
    assert begin(address, row("a"), say=said.append).close() == ""
    assert said == [f"note: {address} cannot refuse a second writer at the same moment; start one evalkit at a time"]


def test_a_lock_that_is_none_is_left_alone(address: Address, on: Machine) -> None:
    Bucket(address).put({locks.LOCK: b"not a lock"})
    with pytest.raises(InfrastructureError, match=r"lock.json is no lock of evalkit's; move it away"):
        RemoteRun(address, quiet)
    assert Bucket(address).read(locks.LOCK) == b"not a lock"


@pytest.mark.parametrize("words", [b"not a lock", b'{"host": "\xff"}'])
def test_a_lock_that_becomes_none_is_lost(
    address: Address, on: Machine, monkeypatch: pytest.MonkeyPatch, words: bytes
) -> None:
    monkeypatch.setattr(runs, "_BEAT_S", 0.02)
    run = begin(address, row("a"))

    def lost() -> bool:
        # again where a sign of life came at the same moment
        Bucket(address).put({locks.LOCK: words})
        return bool(run._lock.lost)

    wait_until(lost)
    assert "was taken over by someone who put something else" in run.close()
    assert Bucket(address).read(locks.LOCK) == words


def test_one_that_was_asleep_looks_before_it_sends(
    address: Address, on: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(address, row("a"))
    wait_until(lambda: run._mirror.left() == 0)
    sign = msgspec.json.decode(Bucket(address).read(locks.LOCK) or b"", type=locks.Sign)
    Bucket(address).put({locks.LOCK: msgspec.json.encode(msgspec.structs.replace(sign, token="another", host="m-2"))})
    there = set(Bucket(address).sizes())
    asleep = clock() + 100
    monkeypatch.setattr(locks, "clock", lambda: asleep)
    fill(run.folder, row("b"))
    assert "was taken over by evalkit on host m-2" in run.close()
    assert set(Bucket(address).sizes()) == there


def test_a_run_that_another_machine_fills_is_refused_early(address: Address, on: Machine) -> None:
    run = begin(address, row("a"))
    on("two")
    with pytest.raises(InUseError, match="last sign of life"):
        runs.check_free(address)
    on("one")
    assert run.close() == ""
    on("two")
    runs.check_free(address)


def test_a_new_run_that_finds_its_place_taken_stays_where_it_is(address: Address, on: Machine) -> None:
    begin(address, row("a")).close()
    on("two")
    address.spool.mkdir(parents=True)
    fill(address.spool, row("b"))
    with pytest.raises(InUseError, match="is there already"):
        RemoteRun(address, quiet, live=False, new=True)
    assert set(verdicts(address.spool)) == {"b"}


def test_a_run_named_as_its_folder(on: Machine, tmp_path: Path) -> None:
    folder = address_of(f"memory://{(name := uuid4().hex)}")
    begin(folder / name, row("a")).close()
    on("two")
    assert bring_infos(folder, quiet) == [folder / name]
    fsspec.filesystem("memory").rm(f"/{name}", recursive=True)


def test_of_two_at_the_same_moment_one_gets_the_lock(address: Address, on: Machine) -> None:
    bucket, barrier = Bucket(address), threading.Barrier(8)
    got: list[Any] = []

    def take(number: int) -> None:
        barrier.wait()
        try:
            got.append(StoreLock(bucket, f"copy {number}", 10.0, quiet))
        except InUseError as error:
            got.append(str(error))

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = [one for one in got if isinstance(one, StoreLock)]
    assert len(held) == 1
    held[0].release(5)
    assert bucket.read(locks.LOCK) is None


def _age(address: Address) -> float:
    sign = msgspec.json.decode(Bucket(address).read(locks.LOCK) or b"", type=locks.Sign)
    return locks.time.time() - sign.at
