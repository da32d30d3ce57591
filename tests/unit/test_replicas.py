"""Replicas of a run: what crosses to them, where trajectories go, and what becomes of those whose replica dies."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import evalkit.replicas.fleet as fleet_module
import evalkit.replicas.host as host_module
from evalkit import ImageFile, Sample, StopReason, Trajectory
from evalkit.errors import EngineUnavailableError, EvalkitError, InfrastructureError
from evalkit.images import encode_hook
from evalkit.models import ModelCard
from evalkit.records import DIRECT, FORCED, answer_arm
from evalkit.replicas import Fleet
from evalkit.replicas.frame import pack, unpack
from evalkit.runs.arms import Arms, Job
from evalkit.runs.searches import searches_for
from evalkit.runs.setup import EngineSettings
from evalkit.runs.workshop import Order, Workshop
from evalkit.search import Line
from tests.replicas import FakeCluster

ANSWER = "<reason>r</reason><answer>A</answer>"
LOOK = "import PIL.Image; PIL.Image.new('RGB', (9, 9), 'red').resize((5, 4))"
CALL = f'<tool_call>{{"name": "python", "arguments": {{"code": "{LOOK}"}}}}</tool_call>'
SEARCH = '<tool_call>{"name": "text_search", "arguments": {"query": "tower"}}</tool_call>'


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fleet_module, "_BACKOFF_S", 0.01)
    monkeypatch.setattr(fleet_module, "_OUTAGE_S", 0.5)
    monkeypatch.setattr(fleet_module, "_STARTS", 0)


def order(*turns: str, tools: tuple[str, ...] | None = (), delay_s: float = 0.0, **more: Any) -> Order:
    """A scripted agent; by default without tools."""
    script = Path("script.json")
    script.write_text(json.dumps({"default": turns or [ANSWER], "delay_s": delay_s}))
    card = ModelCard(name="scripted", engine="scripted", protocol="metis", tools=tools)
    return Order(card=card, settings=EngineSettings(script=script, concurrency=more.pop("concurrency", 4)), **more)


def sample(at: int, images: int = 1) -> Sample:
    pictures = [ImageFile.from_pil(Image.new("RGB", (8 + at, 8), (at, 0, 0)), f"{at}.png") for _ in range(images)]
    return Sample(id=f"s{at}", question=f"question {at}?", images=tuple(pictures))


@asynccontextmanager
async def started(
    asked: Order, cluster: FakeCluster | None = None, replicas: int | None = 2, say: Callable[[str], None] = print
) -> AsyncIterator[Fleet]:
    searches = searches_for(asked.card, asked.search, asked.image_search)
    await searches.start()
    fleet = Fleet(asked, searches, cluster or FakeCluster(), replicas, say)
    try:
        await fleet.start()
        yield fleet
    finally:
        await fleet.close()
        await searches.close()


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(6000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to that")


def timeless(trajectory: Trajectory) -> Any:
    """Without times."""

    def cut(tree: Any) -> Any:
        if isinstance(tree, dict):
            hidden = ("timing", "seconds", "started_at", "total_s")
            return {key: cut(value) for key, value in tree.items() if key not in hidden}
        return [cut(value) for value in tree] if isinstance(tree, list) else tree

    return cut(json.loads(msgspec.json.encode(trajectory, enc_hook=encode_hook)))


@given(st.binary(), st.lists(st.binary()))
def test_a_frame_is_read_as_it_was_written(head: bytes, blobs: list[bytes]) -> None:
    assert [bytes(part) for part in (unpack(pack(head, blobs))[0], *unpack(pack(head, blobs))[1])] == [head, *blobs]


@given(st.binary(max_size=60))
def test_a_torn_frame_is_an_error_and_nothing_else(frame: bytes) -> None:
    try:
        head, blobs = unpack(frame)
    except InfrastructureError:
        return
    assert pack(bytes(head), [bytes(blob) for blob in blobs]) == frame


async def test_a_trajectory_is_the_same_here_and_in_a_replica() -> None:
    asked = order(CALL, ANSWER, tools=("python",), arms=Arms(names=("agent", DIRECT, FORCED)))
    jobs = [Job(sample(at), arm) for at in range(2) for arm in ("agent", DIRECT, FORCED)]
    searches = searches_for(asked.card, "", "")
    workshop = Workshop(asked, searches)
    try:
        here = await workshop.start()
        alone = [await workshop.run(job) for job in jobs]
        jobs.append(Job(jobs[0].sample, answer_arm(0), 0, alone[0]))
        alone.append(await workshop.run(jobs[-1]))
    finally:
        await workshop.close()
    async with started(asked) as fleet:
        there = [await fleet.run(job) for job in jobs]
        assert fleet.agent.system_prompt == workshop.agent.system_prompt
        assert fleet.arms == workshop.arms
    assert list(map(timeless, there)) == list(map(timeless, alone))
    drawn = [each.turns[0].observations[0].images[0].read() for each in (there[0], alone[0])]
    assert drawn[0] == drawn[1], "what a tool drew has come back with its bytes"
    assert here.capabilities is not None


async def test_a_sample_stays_where_it_was_and_its_images_go_once() -> None:
    cluster = FakeCluster()
    asked = order(arms=Arms(names=("agent", DIRECT), direct_k=3))
    async with started(asked, cluster) as fleet:
        jobs = [Job(sample(at, images=2), DIRECT, repeat) for at in range(6) for repeat in range(3)]
        await asyncio.gather(*map(fleet.run, jobs))
        facts = fleet.facts()["replicas"]
    methods = Counter(method for frames in cluster.frames.values() for method, _ in frames)
    assert methods["run"] == 18
    assert methods["keep"] == 6, "two equal images of a sample, and its three runs, are one sending"
    assert [each["trajectories"] for each in facts] == [9, 9]
    assert [each["restarts"] for each in facts] == [0, 0]


async def test_samples_with_the_same_image_share_a_replica_while_the_others_have_nearly_as_much_to_do() -> None:
    cluster = FakeCluster()
    gate = asyncio.Event()

    async def wait(replica: int, frame: bytes) -> None:
        await gate.wait()

    cluster.at_run = wait
    async with started(order(concurrency=16), cluster) as fleet:
        pictures = [sample(each).images for each in range(9)]
        running = [
            asyncio.create_task(fleet.run(Job(Sample(id=f"{each}-{turn}", question="q?", images=images))))
            for each, images in enumerate(pictures[:8])
            for turn in range(2)
        ]
        await until(lambda: sum(cluster.running.values()) == 16)
        assert cluster.running == {0: 8, 1: 8}
        sent = Counter(method for frames in cluster.frames.values() for method, _ in frames)
        assert sent["keep"] == 8, "each image to one replica only"
        one = [Job(Sample(id=f"one-{each}", question="q?", images=pictures[8])) for each in range(16)]
        running += [asyncio.create_task(fleet.run(job)) for job in one]

        def loads() -> list[int]:
            return sorted(member.limiter.load for member in fleet._members)

        await until(lambda: sum(loads()) == 32)
        assert loads() == [15, 17], "an eighth of the limit, and no more, is an image worth"
        gate.set()
        await asyncio.gather(*running)


async def test_images_that_a_replica_has_dropped_are_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module, "_MOST_BYTES", 1)
    cluster = FakeCluster()
    async with started(order(arms=Arms(repeats=2)), cluster, 1) as fleet:
        many = Sample(id="m", question="q", images=tuple(sample(at).images[0] for at in range(3)))
        for repeat in range(2):
            for asked in (sample(7), many):
                assert (await fleet.run(Job(asked, "agent", repeat))).stop is StopReason.ANSWERED


async def test_no_replica_gets_more_than_its_limit() -> None:
    cluster = FakeCluster()
    gate = asyncio.Event()

    async def wait(replica: int, frame: bytes) -> None:
        await gate.wait()

    cluster.at_run = wait
    async with started(order(concurrency=3), cluster) as fleet:
        assert fleet.replicas == 2
        running = [asyncio.create_task(fleet.run(Job(sample(at)))) for at in range(20)]
        await until(lambda: sum(cluster.running.values()) >= 6)
        await asyncio.sleep(0.05)
        assert cluster.running == {0: 3, 1: 3}
        gate.set()
        assert {each.stop for each in await asyncio.gather(*running)} == {StopReason.ANSWERED}
    assert max(cluster.most.values()) == 3


async def test_what_was_at_a_dead_replica_is_run_again_and_the_replica_is_taken_back() -> None:
    cluster = FakeCluster()
    said: list[str] = []
    killed = asyncio.Event()

    async def kill(replica: int, frame: bytes) -> None:
        if replica == 0 and not killed.is_set() and cluster.running[0] == 4:
            killed.set()
            asyncio.get_running_loop().call_soon(lambda: tasks.append(asyncio.create_task(cluster.kill(0))))
        if not killed.is_set() and replica == 0:
            await asyncio.sleep(30)

    tasks: list[asyncio.Task[None]] = []
    cluster.at_run = kill
    async with started(order(), cluster, say=said.append) as fleet:
        done = await asyncio.gather(*(fleet.run(Job(sample(at))) for at in range(12)))
        assert {each.stop for each in done} == {StopReason.ANSWERED}
        assert killed.is_set()
        await until(lambda: fleet.facts()["replicas"][0]["restarts"] == 1 and fleet._members[0].up)
        before = fleet.facts()["replicas"][0]["trajectories"]
        await asyncio.gather(*(fleet.run(Job(sample(at))) for at in range(20, 32)))
        assert fleet.facts()["replicas"][0]["trajectories"] > before
    assert said == ["replica 0 on a is gone (its process ended); its trajectories are run again"]


async def test_a_trajectory_that_kills_its_replica_three_times_is_an_error_row_and_the_others_are_not() -> None:
    cluster = FakeCluster()

    async def kill(replica: int, frame: bytes) -> None:
        if b"question 3?" in frame:
            await cluster.kill(replica)

    cluster.at_run = kill
    async with started(order(delay_s=0.01), cluster) as fleet:
        done = await asyncio.gather(*(fleet.run(Job(sample(at))) for at in range(16)))
    bad = [at for at, each in enumerate(done) if each.stop is not StopReason.ANSWERED]
    assert bad == [3]
    assert done[3].stop is StopReason.ENGINE_ERROR
    assert done[3].error.startswith("3 replicas were lost while they ran it, the last: replica ")


async def test_with_all_replicas_gone_the_run_ends_with_the_reason() -> None:
    cluster = FakeCluster()
    async with started(order(), cluster) as fleet:
        cluster.full = True
        for replica in (0, 1):
            await cluster.kill(replica)
        ended = await asyncio.gather(*(fleet.run(Job(sample(at))) for at in range(2)), return_exceptions=True)
    assert {type(each) for each in ended} <= {EngineUnavailableError, Trajectory}
    (said,) = {str(each) for each in ended if isinstance(each, EngineUnavailableError)}
    assert said.startswith("all 2 replicas are gone and did not come back within 0.5 s (the last: replica ")
    assert said.endswith("look after the cluster and run the same command again")
    assert "\n" not in said


async def test_a_lost_cluster_ends_the_run_at_once() -> None:
    cluster = FakeCluster()

    async def wait(replica: int, frame: bytes) -> None:
        await asyncio.sleep(30)

    cluster.at_run = wait
    async with started(order(), cluster) as fleet:
        running = asyncio.create_task(fleet.run(Job(sample(0))))
        await until(lambda: bool(cluster.running))
        await cluster.lose()
        with pytest.raises(EngineUnavailableError, match="the cluster is gone"):
            await running


def changed(told: bytes, **what: Any) -> bytes:
    return msgspec.json.encode({**json.loads(told), **what})


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"evalkit": "9.9"}, "replica 1 on b differs from this machine: evalkit 9.9, not "),
        ({"python": "2.7"}, "replica 1 on b differs from this machine: python 2.7, not "),
        ({"weights": "other"}, "replica 1 on b differs from this machine: weights other, not "),
        ({"searches": {"text_search": {"kind": "serper"}}}, "search.text_search.kind serper, not None"),
        (
            {"opened": {"engine": {"kind": "scripted", "identity": "xyz"}}},
            "replica 1 on b differs from replica 0 on a: engine.identity xyz, not ",
        ),
        ({"evalkit": "9.9", "error": "ValidationError: x", "opened": None}, "from this machine: evalkit 9.9, not "),
        ({"pid": "of another form"}, "replica 1 on b differs from this machine: it has another version of evalkit"),
        ({"error": "no weights here"}, "replica 1 on b: no weights here"),
    ],
)
async def test_replicas_that_differ_are_refused(what: dict[str, Any], said: str) -> None:
    cluster = FakeCluster()
    cluster.told = lambda replica, told: changed(told, **what) if replica else told
    with pytest.raises(EvalkitError) as refused:
        async with started(order(), cluster):
            pass
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert cluster.closed
    assert not cluster.hosts


async def test_a_replica_that_comes_back_as_another_ends_the_run() -> None:
    cluster = FakeCluster()
    async with started(order(), cluster) as fleet:
        cluster.told = lambda replica, told: changed(told, evalkit="9.9")
        await cluster.kill(0)

        async def go_on() -> None:
            for at in range(1000):
                await fleet.run(Job(sample(at)))
                await asyncio.sleep(0.01)

        with pytest.raises(EngineUnavailableError, match=r"came back as another: evalkit 9\.9, not"):
            await go_on()


async def test_an_engine_that_dies_in_a_living_replica_is_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    from evalkit.engines.scripted import ScriptedEngine

    alive = {"first": True}
    generate = ScriptedEngine.generate

    async def dying(self: Any, request: Any) -> Any:
        if alive.pop("first", False):
            raise EngineUnavailableError("the engine's process ended")
        return await generate(self, request)

    monkeypatch.setattr(ScriptedEngine, "generate", dying)
    said: list[str] = []
    async with started(order(), say=said.append) as fleet:
        done = await asyncio.gather(*(fleet.run(Job(sample(at))) for at in range(4)))
        assert {each.stop for each in done} == {StopReason.ANSWERED}
    assert len(said) == 1
    assert "is gone (the engine's process ended)" in said[0]


async def test_an_image_that_cannot_be_read_is_the_same_row_as_without_replicas(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(sample(0).images[0].read()[:-8])
    job = Job(Sample(id="bad", question="q?", images=(ImageFile.from_path(tmp_path / "bad.png"),)))
    asked = order()
    workshop = Workshop(asked, searches_for(asked.card, "", ""))
    await workshop.start()
    alone = await workshop.run(job)
    await workshop.close()
    async with started(asked) as fleet:
        there = await fleet.run(job)
    assert there.stop is StopReason.DATA_ERROR
    assert timeless(there) == timeless(alone)


async def test_searches_made_in_a_replica_are_recorded_by_the_run(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "tower.md").write_text("# Tower\nThe tower is 330 metres tall.\n")
    (docs / "other.md").write_text("# Other\nNothing of the kind.\n")
    asked = order(SEARCH, ANSWER, tools=("text_search",), search="corpus:docs")
    searches = searches_for(asked.card, asked.search, "")
    await searches.start()
    fleet = Fleet(asked, searches, FakeCluster(), 2)
    (run := tmp_path / "run").mkdir()
    try:
        await fleet.start()
        with searches.into(run):
            done = await asyncio.gather(*(fleet.run(Job(sample(at))) for at in range(4)))
    finally:
        await fleet.close()
        await searches.close()
    assert all("330 metres" in each.turns[0].observations[0].text for each in done)
    lines = [msgspec.json.decode(line, type=Line) for line in (run / "searches.jsonl").read_bytes().splitlines()]
    assert sorted(line.search.sample for line in lines) == ["s0", "s1", "s2", "s3"]


async def test_times_are_on_the_clock_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from evalkit.agents import loop

    behind = time.time

    class Slow:
        """A clock that is an hour behind."""

        perf_counter = staticmethod(time.perf_counter)

        @staticmethod
        def time() -> float:
            return behind() - 3600

    monkeypatch.setattr(loop, "time", Slow)
    monkeypatch.setattr(host_module, "time", Slow)
    import evalkit.replicas.parcel as parcel

    answered = parcel.answered

    def late(*arguments: Any) -> bytes:
        monkeypatch.setattr(time, "time", Slow.time)
        try:
            return answered(*arguments)
        finally:
            monkeypatch.setattr(time, "time", behind)

    monkeypatch.setattr(host_module, "answered", late)
    begun = time.time()
    async with started(order()) as fleet:
        done = await fleet.run(Job(sample(0)))
    assert done.started_at is not None
    assert begun - 1 <= done.started_at <= time.time() + 1


async def test_every_replica_is_warmed_up() -> None:
    cluster = FakeCluster()
    async with started(order(), cluster, 3) as fleet:
        await fleet.warm_up(Job(sample(0), "warm-up"))
    assert {replica: [method for method, _ in frames].count("run") for replica, frames in cluster.frames.items()} == {
        0: 1,
        1: 1,
        2: 1,
    }
