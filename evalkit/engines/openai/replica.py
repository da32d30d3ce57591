"""One server: its connections, what is known of it, and one try of a request."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from evalkit.engines.base import Completion, Request
from evalkit.engines.limiter import Limiter
from evalkit.engines.openai import chat, probe
from evalkit.engines.openai.auth import Credentials
from evalkit.engines.openai.files import SharedFolders
from evalkit.engines.openai.media import Media, Sending
from evalkit.engines.openai.reading import whole
from evalkit.engines.openai.replies import Replies
from evalkit.engines.openai.retry import (
    RETRIED_STATUS,
    Patience,
    TryAgainError,
    backoff,
    no_schemas,
    retry_after,
    server_message,
)
from evalkit.engines.openai.served import choose
from evalkit.engines.openai.stream import Stream
from evalkit.engines.pool import MovedError
from evalkit.errors import (
    ContextLengthError,
    EngineError,
    EngineUnavailableError,
    EvalkitError,
    InfrastructureError,
    one_line,
)
from evalkit.images import ImageFile
from evalkit.records import Timing

if TYPE_CHECKING:
    import aiohttp

    from evalkit.engines.openai.body import BodyBuilder

_MODELS_TIMEOUT_S = 30.0
_PROBE_TIMEOUT_S = 120.0
_CONNECT_TIMEOUT_S = 30.0
_AFTER_DONE_S = 1.0
# Below the 5 s after which uvicorn, and with it vLLM, drops idle connections: a request on a
# connection that is just being dropped would be lost.
_KEEPALIVE_S = 4.0
_MALFORMED = frozenset({400, 404, 422, 501})
_STREAM = re.compile(r"stream", re.IGNORECASE)
_GOING_ON = re.compile(
    r"continue_final_message|add_generation_prompt|extra|unrecogni[sz]ed|unknown|prefill|assistant|last message",
    re.IGNORECASE,
)
_GONE_FILE = "No such file"


class _AskAgainError(Exception):
    """The server does not take what was tried; the request goes out again at once, perhaps with all its data."""

    def __init__(self, in_full: bool) -> None:
        super().__init__()
        self.in_full = in_full


class Replica:
    """One server.

    Attributes:
        url: base URL without credentials.
        name: the same, for the pool.
        model: the server's name for the model.
        card: its entry in the server's list of models.
        limiter: slots at the server.
        media: how it takes images.
        streams: whether replies are asked for in pieces; ends with the first refusal, and with the first
            stream that lacks the token counts.
        up: whether requests are sent to it; the pool decides.
        failures: failed tries since the last completion.
        sent_bytes: bodies of all requests.
    """

    def __init__(
        self,
        credentials: Credentials,
        patience: Patience,
        connections: int,
        bodies: BodyBuilder,
        *,
        stream: bool,
        fields: Mapping[str, Any],
    ) -> None:
        self.url = self.name = credentials.resolve()
        self.model = ""
        self.card: dict[str, Any] = {}
        self.limiter = Limiter(connections)
        self.media = Media()
        self.streams = stream
        self.up = True
        self.failures = 0
        self.sent_bytes = 0
        self._credentials = credentials
        self._patience = patience
        self._bodies = bodies
        self._fields = fields
        self._replies = Replies(self.url, credentials)
        self._endpoint = f"{self.url}/chat/completions"
        self._dialect = chat.Dialect()
        self._http: aiohttp.ClientSession | None = None

    async def open(self, wanted: str | None, *, references: bool) -> str | None:
        """Reach the server, find the model, and how it takes images.

        Args:
            wanted: the model's name; None takes the only one.
            references: find out whether images can go by reference.

        Returns:
            What the server calls itself, if it does.

        Raises:
            InfrastructureError: the server cannot be reached or does not work.
            EvalkitError: the key or the model's name is wrong, or the server redirects.
        """
        import aiohttp

        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
            timeout=aiohttp.ClientTimeout(total=self._patience.timeout_s, sock_connect=_CONNECT_TIMEOUT_S),
            headers={**self._credentials.headers, "Content-Type": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        headers = await self._find_model(wanted, self._patience.attempts)
        self._dialect = chat.Dialect.of(self.card)
        if references:
            found = await probe.references(self._probe)
            self.media.by_id = found.by_id
            if found.files:

                async def reads(url: str) -> bool:
                    seen = await self._probe({"type": "image_url", "image_url": {"url": url}})
                    return seen.status == 200 and seen.prompt_tokens == found.prompt_tokens

                self.media.files = SharedFolders(reads, probe.probe_image())
        return self._replies.header(headers, "Server")

    async def check(self) -> None:
        """Ask whether the server is there, with the same model as before.

        Raises:
            EngineUnavailableError: there is another model in its place.
            EvalkitError: it is not there, or does not work.
        """
        before = self.identity
        await self._find_model(self.model, 1)
        if self.identity != before:
            raise EngineUnavailableError(f"{self.url} came back with {self.identity} in place of {before}")
        self.media.forget()

    @property
    def identity(self) -> str:
        """What replicas must have in common: the model's name, its weights, its context length."""
        id, root, length = (
            self._replies.word(self.card.get(name, ""), 200) for name in ("id", "root", "max_model_len")
        )
        return f"model {id}{f' ({root})' if root not in ('', id) else ''}{f', {length} tokens' if length else ''}"

    def word(self, value: object) -> str:
        """A name as the server gave it, in the form in which it may be recorded."""
        return self._replies.word(value, 300)

    @property
    def schemas(self) -> bool:
        """Whether JSON schemas are sent; ends with the first refusal."""
        return self._dialect.schemas

    async def close(self) -> None:
        """Drop all connections; safe to call twice."""
        http, self._http = self._http, None
        if self.media.files is not None:
            await self.media.files.close()
        if http is not None:
            await http.close()

    async def generate(self, request: Request) -> Completion:
        """One try; more only where the server turns out not to take what was tried.

        Raises:
            TryAgainError: it failed in a way that another try may not.
            MovedError: the server was taken out while the request waited for a slot.
            EngineError: it failed for good.
            DataError: an image of the request cannot be read.
        """
        images = [part for message in request.messages for part in message.parts if isinstance(part, ImageFile)]
        if images:
            if self.media.files is not None:
                await self.media.files.examine(images)
            await self._bodies.prepare([image for image in images if self.media.needs_data(image)])
        arrived = time.perf_counter()
        await self.limiter.acquire()
        sent = time.monotonic()
        queue_s = time.perf_counter() - arrived
        sending = Sending(self.media)
        try:
            if not self.up:
                raise MovedError
            while True:
                try:
                    completion = await self._try(request, sending, queue_s)
                    break
                except _AskAgainError as again:
                    if again.in_full:
                        await self._bodies.prepare(images)
                    sending = sending.in_full() if again.in_full else Sending(self.media)
            sending.settle()
            self.limiter.answered()
            return completion
        except TryAgainError as error:
            if error.costly or error.overload:
                self.limiter.overloaded(sent)
            raise
        finally:
            self.limiter.release()

    async def _try(self, request: Request, sending: Sending, queue_s: float) -> Completion:
        import aiohttp

        if self._http is None:
            raise EngineUnavailableError("the engine was closed")
        stream, dialect = self.streams, self._dialect
        try:
            document, marker, images = chat.encode(request, self.model, dialect, sending.part, stream, self._fields)
        except UnicodeEncodeError:
            raise EngineError("a message holds lone surrogates, which cannot be sent as JSON") from None
        body = self._bodies.build(document, marker, images)
        self.sent_bytes += (len(body) if isinstance(body, bytes) else body.size) or 0
        start = time.perf_counter()
        try:
            async with self._http.post(self._endpoint, data=body, allow_redirects=False) as reply:
                if reply.status != 200:
                    raw = await whole(reply)
                    if request.schema and dialect.schemas and no_schemas(reply.status, raw):
                        self._dialect = msgspec.structs.replace(self._dialect, schemas=False)
                        raise _AskAgainError(in_full=False)
                    raise self._refusal(reply.status, reply.headers, raw, sending, stream, request)
                sending.taken()
                if reply.content_type == "text/event-stream":
                    completion = await self._gather(reply, request.stop, start, queue_s)
                else:
                    raw = await whole(reply)
                    try:
                        completion = chat.decode(raw, request.stop, Timing(queue_s=queue_s))
                    except chat.BadReplyError as error:
                        raise self._replies.bad(raw, error) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if not isinstance(body, bytes) and body.failure is not None:
                raise body.failure from None
            raise self._replies.broken(error, self._patience.timeout_s) from None
        self._replies.answered = True
        if completion.finish_reason == "content_filter" and not completion.text.strip():
            raise EngineError(f"{self.url}: the server's content filter withheld the reply")
        text, finish = self._replies.text(completion.text), self._replies.word(completion.finish_reason)
        if text is completion.text and finish == completion.finish_reason:
            return completion
        return msgspec.structs.replace(completion, text=text, finish_reason=finish)

    def _refusal(
        self, status: int, headers: Any, raw: bytes, sending: Sending, stream: bool, request: Request
    ) -> Exception:
        if stream and status in _MALFORMED and _STREAM.search(server_message(raw)):
            self.streams = False
            return _AskAgainError(in_full=False)
        problem = self._replies.refusal(status, headers, raw)
        lacking = status in _MALFORMED or (status == 500 and _GONE_FILE in str(problem))
        if sending.borrowed and lacking and not isinstance(problem, ContextLengthError):
            # perhaps it lacks what was only named
            return _AskAgainError(in_full=True)
        if request.continues and status in _MALFORMED and _GOING_ON.search(server_message(raw)):
            return EngineError(
                "the server does not let the model go on in its own turn, as this protocol must "
                f"(continue_final_message): serve it with vLLM or SGLang; {one_line(problem, 200)}"
            )
        return problem

    async def _gather(
        self, reply: aiohttp.ClientResponse, stop: tuple[str, ...], start: float, queue_s: float
    ) -> Completion:
        """Read a stream to its end; times are those at which its pieces arrived here."""
        import aiohttp

        stream = Stream()
        loop = asyncio.get_running_loop()
        limit_s = self._patience.silence_s
        first = last = watched = 0.0
        try:
            async with asyncio.timeout(None) as silence:
                async for data in reply.content.iter_any():
                    if stream.feed(data):
                        last = time.perf_counter()
                        first = first or last
                    if stream.done:
                        silence.reschedule(loop.time() + _AFTER_DONE_S)
                    elif first and last - watched > limit_s / 8:
                        # a timer for every token would cost more than the token
                        watched = last
                        silence.reschedule(loop.time() + limit_s)
            timing = Timing(queue_s=queue_s, ttft_s=first - start, decode_s=last - first) if first else None
            completion = stream.completion(stop, timing or Timing(queue_s=queue_s))
        except chat.BadReplyError as error:
            if stream.done:
                self.streams = False
            raise self._replies.bad(b"", error) from None
        except (aiohttp.ClientError, TimeoutError, OSError):
            if silence.expired() and not stream.done:
                raise TryAgainError(f"the reply stopped coming for {limit_s:g} s", costly=True) from None
            if not stream.done:
                raise
            completion = stream.completion(stop, Timing(queue_s=queue_s, ttft_s=first - start, decode_s=last - first))
        if stream.usage is None:
            self.streams = False
        return completion

    async def _find_model(self, wanted: str | None, attempts: int) -> Any:
        """Read the server's list of models; the headers of its answer."""
        import aiohttp

        assert self._http is not None
        limit_s = min(_MODELS_TIMEOUT_S, self._patience.timeout_s)
        limit = aiohttp.ClientTimeout(total=limit_s)
        url = f"{self.url}/models"
        for failures in range(1, attempts + 1):
            try:
                async with self._http.get(url, timeout=limit, allow_redirects=False) as reply:
                    status, headers, raw = reply.status, reply.headers, await whole(reply)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                why = self._replies.reason(error, limit_s)
                raise InfrastructureError(f"cannot reach {url} ({why}): start the server or mend base_url") from None
            if 300 <= status < 400:
                raise EvalkitError(str(self._replies.refusal(status, headers, raw)))
            if failures == attempts or not (status in RETRIED_STATUS or status >= 500):
                break
            await asyncio.sleep(backoff(failures, self._patience.backoff_s, retry_after(headers.get("Retry-After"))))
        self.card = choose(url, wanted, self._credentials, status, raw)
        self.model = self.card["id"]
        return headers

    async def _probe(self, image: dict[str, Any]) -> probe.Seen:
        import aiohttp

        if self._http is None:
            return probe.Seen(0, None, "")
        messages = [{"role": "user", "content": [image, {"type": "text", "text": "."}]}]
        body = msgspec.json.encode({"model": self.model, "messages": messages, "max_tokens": 1, "temperature": 0})
        limit = aiohttp.ClientTimeout(total=min(_PROBE_TIMEOUT_S, self._patience.timeout_s))
        try:
            async with self._http.post(self._endpoint, data=body, timeout=limit, allow_redirects=False) as reply:
                status, raw = reply.status, await whole(reply)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return probe.Seen(0, None, "")
        try:
            tokens = chat.decode(raw, ()).usage.prompt_tokens if status == 200 else None
        except chat.BadReplyError:
            tokens = None
        return probe.Seen(status, tokens, server_message(raw))
