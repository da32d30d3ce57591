"""The batcher with a fake model: joining, failing, cancelling, closing."""

import asyncio
import threading
import time

import pytest

from evalkit.engines.base import Completion, Message, Request, Sampling
from evalkit.engines.transformers.batching import Batcher
from evalkit.errors import DataError, EngineError, EngineUnavailableError


def request(text: str, temperature: float = 0.0) -> Request:
    return Request(
        messages=(Message("user", (text,)),), sampling=Sampling(temperature=temperature), max_tokens=4, key=text
    )


async def until(condition) -> None:
    """Wait for another thread, at most the test's own time limit."""
    while not condition():  # noqa: ASYNC110 - what is waited for happens in a thread, which sets no event
        await asyncio.sleep(0.005)


class Fake:
    """Echoes; keeps the batches it was given."""

    def __init__(self, run=None, prepare=None, max_batch=8, linger_s=5.0):
        self.batches: list[list[str]] = []
        self.recovered = 0
        self.started = 0
        self.gate = threading.Event()
        self.gate.set()
        self.submitted = threading.Event()
        self.submitted.set()
        self._run = run or (lambda texts: None)
        self.batcher: Batcher[str] = Batcher(
            prepare=prepare or self.prepare,
            group=lambda job: job.request.sampling.temperature,
            length=len,
            run=self.run,
            recover=self.recover,
            max_batch=max_batch,
            linger_s=linger_s,
        )

    def prepare(self, request):
        self.submitted.wait(10)
        return request.messages[0].text

    def run(self, jobs):
        self.started += 1
        self.gate.wait(10)
        texts = [job.prepared for job in jobs]
        self.batches.append(texts)
        self._run(texts)
        return [Completion(text=text.upper()) for text in texts]

    def recover(self):
        self.recovered += 1

    async def ask(self, *requests: Request):
        """All requests at once: none is ready before the last one has arrived."""
        self.submitted.clear()
        tasks = [asyncio.create_task(self.batcher.submit(r)) for r in requests]
        await asyncio.sleep(0)
        self.submitted.set()
        return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def fakes():
    made: list[Fake] = []

    def make(**options):
        made.append(Fake(**options))
        return made[-1]

    yield make
    for fake in made:
        fake.gate.set()
        fake.batcher.close()


async def test_requests_that_are_ready_share_a_batch(fakes):
    fake = fakes()
    answers = await fake.ask(*(request(text) for text in ("ccc", "a", "bb")))
    assert [a.text for a in answers] == ["CCC", "A", "BB"]
    assert fake.batches == [["a", "bb", "ccc"]]


async def test_unlike_requests_never_share_a_batch(fakes):
    fake = fakes()
    await fake.ask(request("a"), request("b", 1.0), request("c"))
    assert sorted(fake.batches) == [["a", "c"], ["b"]]


async def test_a_full_batch_takes_the_oldest_and_its_neighbours_in_length(fakes):
    fake = fakes(max_batch=2)
    fake.gate.clear()
    first = asyncio.create_task(fake.ask(request("first")))
    await until(lambda: fake.started == 1)
    rest = [asyncio.create_task(fake.ask(request(text))) for text in ("xxxx", "x", "xxx")]
    await until(lambda: len(fake.batcher._ready) == 3)
    fake.gate.set()
    await asyncio.gather(first, *rest)
    assert fake.batches == [["first"], ["xxx", "xxxx"], ["x"]]


async def test_a_long_conversation_does_not_pad_many_short_ones(fakes):
    fake = fakes()
    await fake.ask(*(request(text) for text in ("a", "bb", "c" * 90, "d", "ee")))
    assert sorted(map(sorted, fake.batches), key=len) == [["c" * 90], ["a", "bb", "d", "ee"]]
    fake.batches.clear()
    await fake.ask(request("c" * 90), request("a"), request("bb"))
    assert fake.batches == [["bb", "c" * 90], ["a"]], "the oldest is never left behind"


async def test_preparation_errors_hurt_only_their_request(fakes):
    def prepare(request):
        text = request.messages[0].text
        if text == "broken":
            raise DataError("no image")
        if text == "odd":
            raise KeyError("surprise")
        return text

    broken, odd, good = await fakes(prepare=prepare).ask(request("broken"), request("odd"), request("good"))
    assert isinstance(broken, DataError)
    assert isinstance(odd, EngineError)
    assert "surprise" in str(odd)
    assert good.text == "GOOD"


async def test_a_failing_batch_is_halved_until_only_the_culprit_fails(fakes):
    def run(texts):
        if "bad" in texts:
            raise ValueError("cannot")

    fake = fakes(run=run)
    names = ["bad", *(f"good{i}" for i in range(4))]
    bad, *good = await fake.ask(*map(request, names))
    assert isinstance(bad, EngineError)
    assert str(bad) == "generation failed: ValueError: cannot"
    assert [a.text for a in good] == [name.upper() for name in names[1:]]
    assert max(a.retries for a in good) >= 1
    assert fake.recovered >= 2


async def test_batches_that_only_fail_as_a_whole_become_smaller(fakes):
    def run(texts):
        if len(texts) > 2:
            raise MemoryError("too many")

    fake = fakes(run=run, max_batch=4)
    assert all(isinstance(a, Completion) for a in await fake.ask(*(request(str(i)) for i in range(4))))
    fake.batches.clear()
    assert all(isinstance(a, Completion) for a in await fake.ask(*(request(str(i)) for i in range(4))))
    assert [len(batch) for batch in fake.batches] == [2, 2]


async def test_cancelled_requests_leave_the_others_alone(fakes):
    fake = fakes()
    fake.gate.clear()
    fake.submitted.clear()
    running = asyncio.create_task(fake.batcher.submit(request("running")))
    beside = asyncio.create_task(fake.batcher.submit(request("beside")))
    await asyncio.sleep(0)
    fake.submitted.set()
    await until(lambda: fake.started == 1)
    queued = asyncio.create_task(fake.batcher.submit(request("queued")))
    await until(lambda: len(fake.batcher._jobs) == 3)
    running.cancel()
    queued.cancel()
    await asyncio.sleep(0)
    fake.gate.set()
    assert (await beside).text == "BESIDE"
    assert (await fake.batcher.submit(request("later"))).text == "LATER"
    assert all("queued" not in batch for batch in fake.batches)
    assert running.cancelled()
    assert fake.batches[0] == ["beside", "running"]


async def test_closing_fails_what_is_pending_and_what_comes_later(fakes):
    fake = fakes(max_batch=1)
    fake.gate.clear()
    waiting = [asyncio.create_task(fake.batcher.submit(request(text))) for text in "abc"]
    await until(lambda: fake.started == 1)
    closing = asyncio.create_task(asyncio.to_thread(fake.batcher.close))
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(outcome, EngineUnavailableError) for outcome in outcomes)
    fake.gate.set()
    await closing
    fake.batcher.close()
    with pytest.raises(EngineUnavailableError, match="closed"):
        await fake.batcher.submit(request("d"))


async def test_a_dead_generation_thread_leaves_nobody_waiting(fakes):
    def run(texts):
        raise SystemExit

    fake = fakes(run=run)
    with pytest.raises(EngineUnavailableError, match="generation thread died: SystemExit"):
        await asyncio.wait_for(fake.batcher.submit(request("a")), 5)
    with pytest.raises(EngineUnavailableError):
        await fake.batcher.submit(request("b"))


async def test_preparing_never_blocks_the_event_loop(fakes):
    def prepare(request):
        time.sleep(0.3)
        return request.messages[0].text

    task = asyncio.create_task(fakes(prepare=prepare).ask(request("slow")))
    started = time.perf_counter()
    await asyncio.sleep(0.01)
    assert time.perf_counter() - started < 0.2
    await task
