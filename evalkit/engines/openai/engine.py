"""Models behind an OpenAI-compatible chat-completions server (vLLM, SGLang, hosted APIs)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from evalkit.engines.base import Completion, Request
from evalkit.engines.openai import chat
from evalkit.engines.openai.auth import Credentials
from evalkit.engines.openai.retry import (
    RETRIED_STATUS,
    TryAgainError,
    backoff,
    failure,
    retry_after,
    server_message,
)
from evalkit.engines.openai.served import choose
from evalkit.errors import (
    EngineError,
    EngineUnavailableError,
    EvalkitError,
    InfrastructureError,
    one_line,
)

if TYPE_CHECKING:
    import aiohttp

    from evalkit.engines.openai.body import BodyBuilder, StreamedBody

_MODELS_TIMEOUT_S = 30.0
_CONNECT_TIMEOUT_S = 30.0
# Below the 5 s after which uvicorn, and with it vLLM, drops idle connections: a request on a
# connection that is just being dropped would be lost.
_KEEPALIVE_S = 4.0


class OpenAIEngine:
    """An engine that asks a server.

    Images travel as their files' own bytes, and large requests are streamed. The key is read from
    the environment at `start` and appears in no error, record or repr.

    Args:
        base_url: up to and including the version, e.g. `http://localhost:8000/v1`.
        model: name as served; None takes the only model of the server.
        api_key_env: name of the environment variable that holds the key, if the server wants one.
        timeout_s: limit of each try, in seconds.
        attempts: tries a request gets.
        connections: requests at the server at once; further ones wait, outside their time limit.
        backoff_s: upper end of the first wait between tries; doubles each time.
    """

    def __init__(
        self,
        *,
        base_url: str,
        model: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        timeout_s: float = 600.0,
        attempts: int = 5,
        connections: int = 256,
        backoff_s: float = 0.5,
    ) -> None:
        if timeout_s <= 0 or attempts < 1 or connections < 1 or backoff_s < 0:
            raise EvalkitError("timeout_s, attempts and connections must be positive, backoff_s not negative")
        self.model = model
        self._credentials = Credentials(base_url, api_key_env)
        self._url = ""
        self._endpoint = ""
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._connections = connections
        self._backoff_s = backoff_s
        self._dialect = chat.Dialect()
        self._answered = False
        self._http: aiohttp.ClientSession | None = None
        self._bodies: BodyBuilder | None = None

    def __repr__(self) -> str:
        return f"OpenAIEngine(base_url={self._url!r}, model={self.model!r})"

    async def start(self) -> dict[str, Any]:
        """Reach the server and find the model.

        Returns:
            kind, base_url (without credentials), model, and where the server tells them
            max_model_len and server.

        Raises:
            InfrastructureError: the server cannot be reached or does not work.
            EvalkitError: the URL, the key or the model's name is wrong.
        """
        import aiohttp

        from evalkit.engines.openai.body import BodyBuilder

        await self.close()
        self._url = self._credentials.resolve()
        self._endpoint = f"{self._url}/chat/completions"
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=_CONNECT_TIMEOUT_S),
            headers={**self._credentials.headers, "Content-Type": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._bodies = BodyBuilder()
        self._slots = asyncio.Semaphore(self._connections)
        try:
            status, headers, raw = await self._models()
            card = choose(f"{self._url}/models", self.model, self._credentials, status, raw)
        except BaseException:
            await self.close()
            raise
        self.model = card["id"]
        self._dialect = chat.Dialect.of(card)
        server = one_line(self._credentials.redact(headers.get("Server", "")), 80)
        found = {"max_model_len": card.get("max_model_len"), "server": server or None}
        return {
            "kind": "openai",
            "base_url": self._url,
            "model": self.model,
            "identity": f"{self.model} ({root})"
            if (root := card.get("root", self.model)) != self.model
            else self.model,
            **{name: value for name, value in found.items() if value is not None},
        }

    async def generate(self, request: Request) -> Completion:
        """Continue the conversation; failures that may pass are tried again.

        Raises:
            ContextLengthError: the conversation does not fit.
            EngineUnavailableError: the server refuses every request (key, model, quota), or the
                engine is not started.
            EngineError: refused, or every try failed.
            DataError: an image of the request cannot be read.
        """
        if self._bodies is None or self.model is None:
            raise EngineUnavailableError("the engine is not started, or closed already")
        try:
            document, marker, images = chat.encode(request, self.model, self._dialect)
        except UnicodeEncodeError:
            raise EngineError("a message holds lone surrogates, which cannot be sent as JSON") from None
        body = await self._bodies.build(document, marker, images)
        for failures in range(self._attempts):
            try:
                async with self._slots:
                    completion = await self._try(body(), request.stop)
            except TryAgainError as error:
                last = error
                if error.costly and failures:
                    # a server that is silent for two whole time limits will not answer the third try
                    break
            else:
                self._answered = True
                return msgspec.structs.replace(completion, retries=failures) if failures else completion
            if failures + 1 < self._attempts:
                await asyncio.sleep(backoff(failures + 1, self._backoff_s, last.wait_s))
        raise EngineError(f"{self._url}: gave up after {failures + 1} tries; the last: {one_line(last)}")

    async def close(self) -> None:
        """Drop all connections; safe to call twice."""
        http, self._http = self._http, None
        bodies, self._bodies = self._bodies, None
        if bodies is not None:
            bodies.close()
        if http is not None:
            await http.close()

    async def _try(self, body: bytes | StreamedBody, stop: tuple[str, ...]) -> Completion:
        import aiohttp

        if self._http is None:
            raise EngineUnavailableError("the engine was closed")
        try:
            async with self._http.post(self._endpoint, data=body, allow_redirects=False) as reply:
                status, headers, raw = reply.status, reply.headers, await reply.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if not isinstance(body, bytes) and body.failure is not None:
                raise body.failure from None
            raise TryAgainError(self._reason(error, self._timeout_s), costly=isinstance(error, TimeoutError)) from None
        if status != 200:
            raise self._failure(status, headers, raw)
        try:
            completion = chat.decode(raw, stop)
        except chat.BadReplyError as error:
            raise self._bad_reply(raw, str(error)) from None
        if completion.finish_reason == "content_filter" and not completion.text.strip():
            raise EngineError(f"{self._url}: the server's content filter withheld the reply")
        text = self._credentials.redact_answer(completion.text)
        return completion if text is completion.text else msgspec.structs.replace(completion, text=text)

    def _failure(self, status: int, headers: Any, raw: bytes) -> EngineError | TryAgainError:
        if 300 <= status < 400:
            place = one_line(self._credentials.redact(headers.get("Location", "elsewhere")), 200)
            return EngineUnavailableError(f"{self._url} redirects to {place}: give that server's own base_url")
        message = self._credentials.redact(server_message(raw))
        meant = failure(status, message, retry_after(headers.get("Retry-After")))
        if self._answered and status in (403, 404) and isinstance(meant, EngineUnavailableError):
            # it has answered others: it is this request that it does not take, e.g. a moderated question
            return EngineError(f"the server refuses the request ({status}: {one_line(message)})")
        return meant

    def _bad_reply(self, raw: bytes, reason: str) -> EngineError | TryAgainError:
        """A 200 that is no completion: an error object says what it is, anything else may pass."""
        try:
            error = msgspec.json.decode(raw).get("error")
        except (msgspec.MsgspecError, ValueError, RecursionError, AttributeError):
            error = None
        if not error:
            # Cut only after redacting, or half a secret may be left.
            start = one_line(self._credentials.redact(raw.decode("utf-8", "replace")), 80)
            return TryAgainError(f"{one_line(self._credentials.redact(reason), 160)}; it begins: {start}")
        code = error.get("code") if isinstance(error, dict) else None
        message = self._credentials.redact(server_message(raw))
        meant = failure(code if isinstance(code, int) and 400 <= code < 600 else 400, message)
        if isinstance(code, int) or type(meant) is not EngineError:
            return meant
        return TryAgainError(f"200 with an error: {one_line(message)}")

    def _reason(self, error: BaseException, limit_s: float) -> str:
        if isinstance(error, TimeoutError):
            return f"no reply within {limit_s:g} s"
        return one_line(f"{type(error).__name__}: {self._credentials.redact(str(error))}", 200)

    async def _models(self) -> tuple[int, Any, bytes]:
        """What the server answers when asked for its models."""
        import aiohttp

        assert self._http is not None
        limit_s = min(_MODELS_TIMEOUT_S, self._timeout_s)
        limit = aiohttp.ClientTimeout(total=limit_s)
        url = f"{self._url}/models"
        for failures in range(1, self._attempts + 1):
            try:
                async with self._http.get(url, timeout=limit, allow_redirects=False) as reply:
                    status, headers, raw = reply.status, reply.headers, await reply.read()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise InfrastructureError(
                    f"cannot reach {url} ({self._reason(error, limit_s)}): start the server or mend base_url"
                ) from None
            if 300 <= status < 400:
                raise EvalkitError(str(self._failure(status, headers, raw)))
            if failures == self._attempts or not (status in RETRIED_STATUS or status >= 500):
                break
            await asyncio.sleep(backoff(failures, self._backoff_s, retry_after(headers.get("Retry-After"))))
        return status, headers, raw
