"""Several servers of one model: where trajectories go, and what happens when a server goes."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web

from evalkit.engines.openai import OpenAIEngine
from evalkit.errors import EngineError, EngineUnavailableError, EvalkitError, InfrastructureError
from evalkit.images import ImageFile
from tests.engines.openai_server import Server, ask, picture, said, serving
from tests.engines.test_openai_media import Holding, forms


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


class Named(Server):
    """Says who it is; `sick` makes it fail, and `dead` makes it drop every connection."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.sick = False
        self.dead = False
        self.reply = lambda body: web.Response(status=500, text="crash") if self.sick else said(self.name)

    async def models(self, request: web.Request) -> web.Response:
        self.check(request)
        return await super().models(request)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.check(request)
        return await super().chat(request)

    def check(self, request: web.Request) -> None:
        if self.dead:
            assert request.transport is not None
            request.transport.abort()
            raise web.HTTPServiceUnavailable


class Farm:
    """Two servers, and an engine on both."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack

    async def open(self, **more: Any) -> Farm:
        self.servers = [Named("a"), Named("b")]
        for server in self.servers:
            await self.stack.enter_async_context(serving(server))
        options = {"attempts": 5, "backoff_s": 0.01, "outage_s": 0.5, "references": False} | more
        self.engine = OpenAIEngine(base_url=[server.url for server in self.servers], **options)
        self.told = await self.engine.start()
        self.stack.push_async_callback(self.engine.close)
        return self

    async def say(self, key: str) -> str:
        return (await self.engine.generate(ask("hi", key=key))).text


@pytest.fixture
async def stack() -> Any:
    async with AsyncExitStack() as stack:
        yield stack


async def test_new_trajectories_go_where_there_is_least_to_do_and_stay_there(stack: AsyncExitStack) -> None:
    farm = await Farm(stack).open()
    assert farm.told["base_url"] == ", ".join(server.url for server in farm.servers)
    keys = [f"sample {at}/agent/0" for at in range(20)]
    first = await asyncio.gather(*map(farm.say, keys))
    assert Counter(first) == {"a": 10, "b": 10}
    for _ in range(2):
        assert await asyncio.gather(*map(farm.say, reversed(keys))) == first[::-1]


async def test_a_busy_replica_gets_fewer(stack: AsyncExitStack) -> None:
    farm = await Farm(stack).open()
    gate = asyncio.Event()

    async def wait() -> Any:
        await gate.wait()
        return said("a")

    farm.servers[0].reply = lambda body: wait()
    stuck = [asyncio.create_task(farm.say(f"stuck {at}")) for at in range(8)]
    await asyncio.sleep(0.05)
    quick = [await farm.say(f"quick {at}") for at in range(6)]
    assert quick == ["b"] * 6
    gate.set()
    await asyncio.gather(*stuck)


@pytest.mark.parametrize("end", ["dead", "sick"])
async def test_the_trajectories_of_a_replica_that_goes_go_on_at_the_other(stack: AsyncExitStack, end: str) -> None:
    farm = await Farm(stack).open()
    keys = [f"{at}" for at in range(12)]
    await asyncio.gather(*map(farm.say, keys))
    setattr(farm.servers[0], end, True)
    assert await asyncio.gather(*map(farm.say, keys)) == ["b"] * 12
    asked = len(farm.servers[0].bodies)
    assert await asyncio.gather(*map(farm.say, [f"new {at}" for at in range(6)])) == ["b"] * 6
    assert len(farm.servers[0].bodies) - asked <= 3, "one that is taken out is tried now and then, not with everything"


async def test_a_replica_that_is_back_is_used_again(stack: AsyncExitStack) -> None:
    farm = await Farm(stack).open()
    farm.servers[0].dead = True
    assert set(await asyncio.gather(*(farm.say(f"{at}") for at in range(12)))) == {"b"}
    assert not farm.engine._replicas[0].up
    farm.servers[0].dead = False
    assert farm.engine._pool is not None
    (watch,) = farm.engine._pool._watches
    await asyncio.wait_for(watch, 5)
    assert set(await asyncio.gather(*(farm.say(f"later {at}") for at in range(12)))) == {"a", "b"}


async def test_requests_that_wait_at_a_replica_that_goes_are_sent_elsewhere(stack: AsyncExitStack) -> None:
    farm = await Farm(stack).open(connections=1)

    async def slowly() -> Any:
        await asyncio.sleep(0.05)
        return web.Response(status=500, text="crash")

    farm.servers[0].reply = lambda body: slowly()
    done = await asyncio.gather(*(farm.engine.generate(ask("hi", key=str(at))) for at in range(20)))
    assert {completion.text for completion in done} == {"b"}
    assert sum(completion.retries for completion in done) <= 4, "those that only waited have lost no attempt"


async def test_with_all_servers_gone_the_run_ends_with_the_reason(stack: AsyncExitStack) -> None:
    farm = await Farm(stack).open(outage_s=0.2)
    for server in farm.servers:
        server.dead = True
    ended = await asyncio.gather(*(farm.say(f"{at}") for at in range(10)), return_exceptions=True)
    assert {type(end) for end in ended} == {EngineUnavailableError}
    said = str(ended[0])
    assert "all 2 servers are gone and did not come back within 0.2 s" in said
    assert "\n" not in said


async def test_a_server_that_restarts_in_mid_run_is_waited_for(stack: AsyncExitStack) -> None:
    server = Named("a")
    async with AsyncExitStack() as first:
        await first.enter_async_context(serving(server))
        port = int(server.url.split(":")[2].split("/")[0])
        engine = OpenAIEngine(base_url=server.url, backoff_s=0.01, outage_s=20, attempts=3, references=False)
        await engine.start()
        stack.push_async_callback(engine.close)
        assert (await engine.generate(ask("hi"))).text == "a"
    waiting = [asyncio.create_task(engine.generate(ask("hi", key=str(at)))) for at in range(6)]
    await asyncio.sleep(0.3)
    assert not any(task.done() for task in waiting)
    await stack.enter_async_context(serving(server, port))
    done = await asyncio.gather(*waiting)
    assert [completion.text for completion in done] == ["a"] * 6
    assert all(completion.timing.queue_s is not None and completion.timing.queue_s > 0.1 for completion in done)


async def test_a_server_that_comes_back_with_another_model_ends_the_run(stack: AsyncExitStack) -> None:
    server = Named("a")
    server.card = {"id": "m", "root": "/step-100", "max_model_len": 4096}
    await stack.enter_async_context(serving(server))
    engine = OpenAIEngine(base_url=server.url, backoff_s=0.01, outage_s=20, attempts=4, references=False)
    await engine.start()
    stack.push_async_callback(engine.close)
    server.card = {**server.card, "root": "/step-200"}
    server.sick = True
    with pytest.raises(EngineUnavailableError, match=r"came back with model m \(/step-200\).*in place of .*step-100"):
        await engine.generate(ask("hi"))


async def test_a_request_that_always_fails_takes_no_run_down(stack: AsyncExitStack) -> None:
    """It alone crashes its worker: it fails, and the others go on."""
    server = Named("a")
    server.reply = lambda body: (
        web.Response(status=500, text="crash") if "poison" in str(body["messages"]) else said("a")
    )
    await stack.enter_async_context(serving(server))
    engine = OpenAIEngine(base_url=server.url, backoff_s=0.005, attempts=5, references=False)
    await engine.start()
    stack.push_async_callback(engine.close)
    with pytest.raises(EngineError, match="gave up after 5 tries") as caught:
        await engine.generate(ask("poison"))
    assert type(caught.value) is EngineError
    assert (await engine.generate(ask("hi"))).text == "a"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"root": "/other"}, r"has model m, 9 tokens, .* has model m \(/other\), 9 tokens"),
        ({"max_model_len": 8}, "9 tokens.*8 tokens"),
    ],
)
async def test_replicas_that_differ_are_refused(stack: AsyncExitStack, change: dict[str, Any], said: str) -> None:
    servers = [Named("a"), Named("b")]
    for server in servers:
        await stack.enter_async_context(serving(server))
        server.card = {"id": "m", "max_model_len": 9}
    servers[1].card.update(change)
    with pytest.raises(EvalkitError, match=f"the servers differ: .*{said}.*same weights") as caught:
        await OpenAIEngine(base_url=[server.url for server in servers]).start()
    assert "\n" not in str(caught.value)


async def test_a_replica_that_is_not_there_at_the_start_is_named(stack: AsyncExitStack) -> None:
    server = await stack.enter_async_context(serving())
    with pytest.raises(InfrastructureError, match=r"cannot reach http://127\.0\.0\.1:9/v1/models"):
        await OpenAIEngine(base_url=[server.url, "http://127.0.0.1:9/v1"]).start()


async def test_an_image_that_one_replica_holds_is_new_to_the_other(stack: AsyncExitStack) -> None:
    servers = [await stack.enter_async_context(serving(Holding())) for _ in range(2)]
    engine = OpenAIEngine(base_url=[server.url for server in servers], backoff_s=0.01)
    await engine.start()
    stack.push_async_callback(engine.close)
    for server in servers:
        server.bodies.clear()
    image = ImageFile.from_bytes(picture(), "x")
    for key in ("first", "second", "first", "second"):
        await engine.generate(ask(image, "hi", key=key))
    assert [[forms(raw) for raw in server.bodies] for server in servers] == [[["data+id"], ["id"]]] * 2
    assert engine.facts()[1]["media"]["unknown"] == 0
