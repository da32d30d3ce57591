"""Models behind OpenAI-compatible chat-completions servers (vLLM, SGLang, hosted APIs)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from evalkit.engines.base import Completion, Request
from evalkit.engines.openai.auth import Credentials
from evalkit.engines.openai.retry import BusyError, Patience, TryAgainError, backoff
from evalkit.engines.pool import MovedError, Pool
from evalkit.errors import EngineError, EngineUnavailableError, EvalkitError, one_line

if TYPE_CHECKING:
    from evalkit.engines.openai.body import BodyBuilder
    from evalkit.engines.openai.replica import Replica


class OpenAIEngine:
    """An engine that asks one server, or several that serve the same model.

    Images travel as their files' own bytes, by reference where the server is found to take references, and
    large requests are sent piece by piece. Replies come as streams where the server streams: time to first
    token and decode time are then measured on this side's clock, so the way there and back, the upload of
    images and the server's own queue are in the first. The key is read from the environment at `start` and
    appears in no error, record or repr.

    Args:
        base_url: up to and including the version, e.g. `http://localhost:8000/v1`; several are replicas.
        model: name as served; None takes the only model of the server.
        api_key_env: name of the environment variable that holds the key, if the server wants one.
        timeout_s: limit of each try, in seconds.
        attempts: tries a request gets.
        connections: requests at one server at once at the most; further ones wait, outside their time limit.
        backoff_s: upper end of the first wait between tries; doubles each time.
        silence_s: limit between two pieces of a stream.
        busy_s: how long in all a request lets itself be put off by a server that is overloaded (429).
        outage_s: how long requests wait for a server that cannot be reached any more.
        stream: ask for replies in pieces.
        references: find out at the start whether images can go by reference.
        fields: of the server's own API, sent with every request beside evalkit's and never in place of them.
    """

    def __init__(
        self,
        *,
        base_url: str | Sequence[str],
        model: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        timeout_s: float = 600.0,
        attempts: int = 5,
        connections: int = 256,
        backoff_s: float = 0.5,
        silence_s: float = 120.0,
        busy_s: float = 900.0,
        outage_s: float = 120.0,
        stream: bool = False,
        references: bool = True,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        if min(timeout_s, silence_s) <= 0 or attempts < 1 or connections < 1 or min(backoff_s, busy_s, outage_s) < 0:
            raise EvalkitError("time limits, attempts and connections must be positive, waits not negative")
        urls = [base_url] if isinstance(base_url, str) else list(dict.fromkeys(base_url))
        if not urls:
            raise EvalkitError("base_url is empty; write e.g. http://localhost:8000/v1")
        self.model = model
        self._credentials = [Credentials(url, api_key_env) for url in urls]
        self._patience = Patience(
            timeout_s=timeout_s,
            silence_s=silence_s,
            attempts=attempts,
            backoff_s=backoff_s,
            busy_s=busy_s,
            outage_s=outage_s,
        )
        self._connections = connections
        self._stream = stream
        self._references = references
        self._fields = dict(fields or {})
        self._replicas: list[Replica] = []
        self._pool: Pool[Replica] | None = None
        self._bodies: BodyBuilder | None = None

    def __repr__(self) -> str:
        urls = ", ".join(replica.url for replica in self._replicas)
        return f"OpenAIEngine(base_url={urls!r}, model={self.model!r})"

    async def start(self) -> dict[str, Any]:
        """Reach every server and find the model.

        Returns:
            kind, base_url (without credentials), model, media (how images go: "data", "id", "file",
            "id+file"), and where the server tells them max_model_len and server.

        Raises:
            InfrastructureError: a server cannot be reached or does not work.
            EvalkitError: a URL, the key or the model's name is wrong, or the replicas differ.
        """
        from evalkit.engines.openai.body import BodyBuilder
        from evalkit.engines.openai.replica import Replica

        await self.close()
        self._bodies = bodies = BodyBuilder()
        try:
            self._replicas = [
                Replica(
                    credentials, self._patience, self._connections, bodies, stream=self._stream, fields=self._fields
                )
                for credentials in self._credentials
            ]
            opening = (replica.open(self.model, references=self._references) for replica in self._replicas)
            servers = await asyncio.gather(*opening, return_exceptions=True)
            for server in servers:
                if isinstance(server, BaseException):
                    raise server
            first = self._replicas[0]
            for other in self._replicas[1:]:
                if other.identity != first.identity:
                    raise EvalkitError(
                        f"the servers differ: {first.url} has {first.identity}, {other.url} has {other.identity}; "
                        "replicas must serve the same weights with the same context length"
                    )
        except BaseException:
            await self.close()
            raise
        self._pool = Pool(self._replicas, self._patience.outage_s, self._patience.backoff_s)
        self.model, card = first.model, first.card
        name, root = first.word(self.model), first.word(card.get("root", self.model))
        length = card.get("max_model_len")
        found = {"max_model_len": length if isinstance(length, int) else None, "server": servers[0]}
        return {
            "kind": "openai",
            "base_url": ", ".join(replica.url for replica in self._replicas),
            "model": name,
            "identity": f"{name} ({root})" if root != name else name,
            "media": ", ".join(dict.fromkeys(replica.media.kind for replica in self._replicas)),
            **{name: value for name, value in found.items() if value is not None},
        }

    def facts(self) -> list[dict[str, Any]]:
        """What came to light of each server since the start.

        Returns:
            Of each: base_url, streamed (whether replies still come in pieces), schemas (whether the server has not
            refused JSON schemas), the most requests that were there at once, the lowest limit on them, megabytes
            sent, and references to images that it had or lacked.
        """
        return [
            {
                "base_url": replica.url,
                "streamed": replica.streams,
                "schemas": replica.schemas,
                "most_at_once": replica.limiter.peak,
                "lowest_limit": replica.limiter.least,
                "sent_mb": round(replica.sent_bytes / 1e6, 3),
                "media": {"kind": replica.media.kind, "known": replica.media.hits, "unknown": replica.media.misses},
            }
            for replica in self._replicas
        ]

    async def generate(self, request: Request) -> Completion:
        """Continue the conversation; failures that may pass are tried again.

        Waiting that leaves the server idle for this request (for a slot, after a refusal for load, while no
        server is up, between tries) is the completion's `timing.queue_s`.

        Raises:
            ContextLengthError: the conversation does not fit.
            EngineUnavailableError: the server refuses every request (key, model, quota) or is gone, or the
                engine is not started.
            EngineError: refused, or every try failed.
            DataError: an image of the request cannot be read.
        """
        pool, patience = self._pool, self._patience
        if pool is None:
            raise EngineUnavailableError("the engine is not started, or closed already")
        failures = put_off = 0
        waited_s = busy_s = 0.0
        while True:
            arrived = time.perf_counter()
            # a sample's arms and repeats share its images and the beginning of its prompt
            replica = await pool.place(request.key.rsplit("/", 2)[0], _first_image(request))
            waited_s += time.perf_counter() - arrived
            arrived = time.perf_counter()
            try:
                completion = await replica.generate(request)
            except MovedError:
                waited_s += time.perf_counter() - arrived
                continue
            except BusyError as error:
                put_off += 1
                # longer only while nothing comes through at all: else the limit on requests has seen to it
                wait_s = backoff(max(1, replica.limiter.cuts), patience.backoff_s, error.wait_s)
                busy_s += wait_s
                if busy_s > patience.busy_s:
                    raise EngineError(
                        f"{replica.url}: put off {put_off} times because of the server's load, gave up after "
                        f"{patience.busy_s:g} s of waiting; lower --concurrency or ask for a higher rate limit; "
                        f"the last: {one_line(error)}"
                    ) from None
            except TryAgainError as error:
                failures += 1
                pool.failed(replica, error)
                # a server that is silent for two whole time limits will not answer the third try
                if failures == patience.attempts or (error.costly and failures > 1):
                    raise EngineError(
                        f"{replica.url}: gave up after {failures} tries; the last: {one_line(error)}"
                    ) from None
                wait_s = 0.0 if pool.has_other(replica) else backoff(failures, patience.backoff_s, error.wait_s)
            else:
                pool.succeeded(replica)
                break
            waited_s += wait_s
            await asyncio.sleep(wait_s)
        if not (failures or put_off or waited_s > 1e-4):
            return completion
        timing = msgspec.structs.replace(completion.timing, queue_s=(completion.timing.queue_s or 0.0) + waited_s)
        return msgspec.structs.replace(completion, retries=failures + put_off, timing=timing)

    def abandon(self, why: str) -> None:
        """The servers are known to be gone for good: requests fail with `why` from now on."""
        if self._pool is not None:
            self._pool.abandon(why)

    async def close(self) -> None:
        """Drop all connections; safe to call twice."""
        pool, self._pool = self._pool, None
        bodies, self._bodies = self._bodies, None
        if bodies is not None:
            bodies.close()
        if pool is not None:
            await pool.close()
        for replica in self._replicas:
            await replica.close()


def _first_image(request: Request) -> str:
    """Its digest, where it is known already; empty without one."""
    image = next((image for message in request.messages for image in message.images), None)
    return image.known.sha256 if image is not None and image.known is not None else ""
