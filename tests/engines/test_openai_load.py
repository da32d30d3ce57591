"""How many requests a server gets at once, and what happens when that was too much."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from evalkit.engines.limiter import Limiter
from evalkit.engines.openai import OpenAIEngine
from tests.engines.openai_server import Server, ask, said, serving


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


async def taken(limiter: Limiter, count: int) -> list[asyncio.Task[None]]:
    """`count` callers that want a slot, after they have had time to get one."""
    tasks = [asyncio.create_task(limiter.acquire()) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_no_more_than_the_limit_are_in_and_the_others_come_in_order() -> None:
    limiter = Limiter(2)
    tasks = await taken(limiter, 5)
    assert [task.done() for task in tasks] == [True, True, False, False, False]
    assert (limiter.in_flight, limiter.load, limiter.peak) == (2, 5, 2)
    limiter.release()
    await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [True, True, True, False, False]
    limiter.release()
    limiter.release()
    await asyncio.gather(*tasks)
    assert limiter.in_flight == 2


async def test_an_overload_lowers_the_limit_once_per_round_trip_and_answers_raise_it_by_one_each() -> None:
    limiter = Limiter(16)
    before = time.monotonic()
    for _ in range(10):
        limiter.overloaded(before)
    assert limiter.limit == 12
    limiter.overloaded(time.monotonic() + 1)
    assert (limiter.limit, limiter.least, limiter.cuts) == (9, 9, 2)
    for _ in range(10):
        limiter.answered()
    assert 10 <= limiter.limit < 10.2, "one round trip of answers is one slot more"
    assert limiter.cuts == 0
    for _ in range(1000):
        limiter.answered()
    assert limiter.limit == 16
    for round in range(1, 40):
        limiter.overloaded(time.monotonic() + round)
        limiter._cut_at = 0
    assert (limiter.limit, limiter.least) == (1, 1)


async def test_slots_over_a_lowered_limit_are_not_given_out_again() -> None:
    limiter = Limiter(4)
    tasks = await taken(limiter, 6)
    limiter.overloaded(time.monotonic() + 1)
    limiter.release()
    await asyncio.sleep(0)
    assert not tasks[4].done()
    limiter.release()
    await asyncio.sleep(0)
    assert tasks[4].done()
    assert not tasks[5].done()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_caller_that_is_cancelled_takes_no_slot_with_it() -> None:
    limiter = Limiter(1)
    tasks = await taken(limiter, 3)
    tasks[1].cancel()
    await asyncio.sleep(0)
    limiter.release()
    await asyncio.sleep(0)
    assert tasks[2].done()
    (late,) = await taken(limiter, 1)
    limiter.release()
    # its slot is given to it and it is cancelled before it wakes
    late.cancel()
    await asyncio.gather(*tasks, late, return_exceptions=True)
    assert limiter.in_flight == 0
    await limiter.acquire()


async def test_those_who_wait_can_be_sent_away() -> None:
    limiter = Limiter(1)
    tasks = await taken(limiter, 3)
    limiter.turn_away(ConnectionError)
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ended] == [type(None), ConnectionError, ConnectionError]
    assert limiter.load == 1


@given(st.lists(st.sampled_from(["answered", "overloaded"]), max_size=200), st.integers(1, 50))
def test_the_limit_stays_between_one_and_the_most(events: list[str], most: int) -> None:
    limiter = Limiter(most)
    for at, event in enumerate(events):
        if event == "answered":
            limiter.answered()
        else:
            limiter._cut_at = 0
            limiter.overloaded(at + 1.0)
        assert 1 <= limiter.limit <= most
        assert limiter.least <= limiter.limit


class Crowded(Server):
    """Answers after a moment, and refuses what comes while `room` requests are at work."""

    def __init__(self, room: int, status: int = 429) -> None:
        super().__init__()
        self.room = room
        self.status = status
        self.at_work = 0
        self.refused = 0
        self.most = 0
        self.reply = self.work

    async def work(self, body: dict[str, Any]) -> Any:
        if self.at_work >= self.room:
            self.refused += 1
            return web.json_response({"error": {"message": "slow down"}}, status=self.status)
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        await asyncio.sleep(0.005)
        self.at_work -= 1
        return said("done")


async def test_a_storm_of_429_costs_no_request_and_settles_near_what_the_server_takes() -> None:
    async with serving(Crowded(4)) as server:
        assert isinstance(server, Crowded)
        engine = OpenAIEngine(
            base_url=server.url, connections=64, attempts=2, backoff_s=0.01, busy_s=30, references=False
        )
        await engine.start()
        done = await asyncio.gather(*(engine.generate(ask("hi")) for _ in range(300)))
        assert [completion.text for completion in done] == ["done"] * 300
        (facts,) = engine.facts()
        assert facts["most_at_once"] == 64
        assert facts["lowest_limit"] <= 8
        assert engine._replicas[0].limiter.limit < 32
        assert any(completion.retries > 2 for completion in done), "more often put off than there are attempts"
        waited = [completion.timing.queue_s for completion in done if completion.retries]
        assert all(seconds is not None and seconds > 0 for seconds in waited)
        await engine.close()


@pytest.mark.parametrize("status", [503, 529])
async def test_other_signs_of_overload_lower_the_limit_too(status: int) -> None:
    async with serving(Crowded(2, status)) as server:
        engine = OpenAIEngine(base_url=server.url, connections=16, attempts=20, backoff_s=0.01, references=False)
        await engine.start()
        await asyncio.gather(*(engine.generate(ask("hi")) for _ in range(40)))
        assert engine.facts()[0]["lowest_limit"] < 16
        await engine.close()


async def test_time_outs_lower_the_limit_and_failures_of_other_kinds_do_not() -> None:
    async def slow() -> Any:
        await asyncio.sleep(0.3)
        return said("late")

    async with serving() as server:
        engine = OpenAIEngine(base_url=server.url, connections=8, attempts=2, timeout_s=0.1, backoff_s=0.01)
        await engine.start()
        server.reply = lambda body: slow() if len(server.bodies) % 7 == 0 else said("quick")
        await asyncio.gather(*(engine.generate(ask("hi")) for _ in range(20)), return_exceptions=True)
        assert engine.facts()[0]["lowest_limit"] < 8
        await engine.close()
        engine = OpenAIEngine(base_url=server.url, connections=8, attempts=2, backoff_s=0.01)
        await engine.start()

        def reply(body: dict[str, Any]) -> Any:
            return web.Response(status=500, text="crash") if len(server.bodies) % 7 == 0 else said("quick")

        server.reply = reply
        await asyncio.gather(*(engine.generate(ask("hi")) for _ in range(20)), return_exceptions=True)
        assert engine.facts()[0]["lowest_limit"] == 8
        await engine.close()


async def test_waiting_for_a_slot_is_told_apart_from_the_servers_time() -> None:
    async def slow() -> Any:
        await asyncio.sleep(0.1)
        return said("done")

    async with serving() as server:
        engine = OpenAIEngine(base_url=server.url, connections=1, references=False)
        await engine.start()
        server.reply = lambda body: slow()
        done = await asyncio.gather(*(engine.generate(ask("hi")) for _ in range(3)))
        waited = [completion.timing.queue_s or 0.0 for completion in done]
        assert waited[0] < 0.05
        assert waited[1] >= 0.1
        assert waited[2] >= 0.2
        await engine.close()
