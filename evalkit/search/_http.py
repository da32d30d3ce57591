"""Requests to a search service that the user has named: bounded, tried again where that helps, and told in words."""

from __future__ import annotations

import asyncio
import json
import os
import zlib
from collections.abc import Mapping
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout

from evalkit.engines.openai.retry import backoff, retry_after
from evalkit.errors import EvalkitError, SandboxError, one_line
from evalkit.search._body import TooLargeError, read_body
from evalkit.search.base import SearchFailedError

MAX_BYTES = 4 << 20
TIMEOUT_S = 20.0
TRIES = 3
LONGEST_WAIT_S = 20.0
IN_FLIGHT = 8
_REFUSED = frozenset({401, 402, 403})
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_KEY_CHARS = 16
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


class Service:
    """One search service.

    Args:
        name: for messages.
        headers: sent with each request.
        secrets: what must not stand in any message.
        refused: what to do where the service answers 401, 402 or 403.
        timeout_s: of each try, to the last byte.
        backoff_s: upper end of the first wait between tries; doubles each time.
    """

    def __init__(
        self,
        name: str,
        *,
        refused: str,
        headers: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
        timeout_s: float = TIMEOUT_S,
        backoff_s: float = 1.0,
    ) -> None:
        self.name = name
        self._refused = refused
        self._headers = {**_HEADERS, **(headers or {})}
        self._secrets = tuple(filter(None, secrets))
        self._timeout_s = timeout_s
        self._backoff_s = backoff_s
        self._session: ClientSession | None = None
        self._room = asyncio.Semaphore(IN_FLIGHT)

    async def ask(self, method: str, url: str, **what: Any) -> dict[str, Any]:
        """The JSON object that a request is answered with.

        Args:
            method: GET or POST.
            url: of the service.
            what: `params` or `json`, as for aiohttp.

        Raises:
            SearchFailedError: it failed, after tries where those help.
            SandboxError: the service refuses the key, or this use of it.
        """
        async with self._room:
            for left in reversed(range(TRIES)):
                try:
                    return await self._try(method, url, what)
                except _Again as again:
                    wait = backoff(TRIES - left, self._backoff_s, again.wait_s)
                    if not left or (again.wait_s or 0.0) > LONGEST_WAIT_S:
                        raise SearchFailedError(self.said(str(again)), again.timeout) from None
                await asyncio.sleep(wait)
        raise AssertionError("not reached")

    async def begin(self, method: str, url: str, **what: Any) -> dict[str, Any]:
        """As `ask`, for the first request of a run: whatever fails is for the user to mend.

        Raises:
            EvalkitError: it failed.
        """
        try:
            return await self.ask(method, url, **what)
        except SearchFailedError as error:
            raise EvalkitError(f"{error}; no run is begun without the search that was asked for") from None
        except SandboxError as error:
            raise EvalkitError(str(error)) from None

    async def close(self) -> None:
        """Close the connections; safe to call twice."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def said(self, text: str) -> str:
        """A message about the service, without its secrets."""
        return self.clean(f"{self.name}: {text}")

    def clean(self, text: str) -> str:
        """A text from the service, without its secrets: a page can give back what it was sent."""
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return text

    def _line(self, text: str, limit: int) -> str:
        # cut only after the secrets are out, or half of one may be left
        return one_line(self.clean(text), limit)

    def _without_secrets(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: self._without_keys(value) if isinstance(value, str) else value for name, value in pairs}

    def _without_keys(self, text: str) -> str:
        # a short password is in many a text
        for secret in self._secrets:
            text = text.replace(secret, "[key]") if len(secret) >= _KEY_CHARS else text
        return text

    async def _try(self, method: str, url: str, what: Mapping[str, Any]) -> dict[str, Any]:
        try:
            async with self._client().request(method, url, allow_redirects=False, **what) as response:
                status = response.status
                if status in _REFUSED:
                    raise SandboxError(self.said(f"it answered {status}: {self._refused}"))
                if status in _AGAIN:
                    wait = retry_after(response.headers.get("Retry-After"))
                    asked = "" if wait is None else f" and asks to wait {wait:.0f} s"
                    raise _Again(f"it answered {status} {self._line(response.reason or '', 60)}{asked}".rstrip(), wait)
                if 300 <= status < 400:
                    where = self._line(response.headers.get("Location", "nowhere"), 120)
                    raise SearchFailedError(self.said(f"it redirects to {where}, which is not followed"))
                body = await read_body(response, MAX_BYTES)
                kind = response.content_type
        except TooLargeError as error:
            raise SearchFailedError(self.said(f"its answer is too large: {error}")) from None
        except TimeoutError:
            raise _Again(f"no whole answer within {self._timeout_s:g} s", timeout=True) from None
        except (ClientError, OSError, ValueError, zlib.error) as error:
            raise _Again(f"it cannot be reached: {self._line(str(error), 160) or type(error).__name__}") from None
        if status != 200:
            words = self._line(body.decode("utf-8", "replace"), 300)
            if status == 400 and "credit" in words.lower():
                raise SandboxError(self.said(f"it has no credits left: {self._refused}"))
            raise SearchFailedError(self.said(f"it answered {status}: {words}"))
        try:
            # msgspec refuses lone surrogates, and with one odd title a whole answer
            answer = json.loads(body, object_pairs_hook=self._without_secrets)
        except (ValueError, RecursionError):
            raise SearchFailedError(self.said(f"it answered with {self._line(kind, 60)} instead of JSON")) from None
        if not isinstance(answer, dict):
            raise SearchFailedError(self.said("its JSON is no object"))
        return answer

    def _client(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                timeout=ClientTimeout(total=self._timeout_s),
                headers=self._headers,
                auto_decompress=False,
                trust_env=True,
            )
        return self._session


class _Again(Exception):
    """One try failed in a way that another may not."""

    def __init__(self, reason: str, wait_s: float | None = None, timeout: bool = False) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.timeout = timeout


def key_from(variable: str, name: str) -> str:
    """The key of the service called `name`, from an environment variable.

    Raises:
        EvalkitError: it is not set.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        raise EvalkitError(
            f"search provider {name} needs a key in the environment variable {variable}, which is not set"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise EvalkitError(f"search provider {name}: the key in {variable} has characters that no key has")
    return key


def rows(answer: Mapping[str, Any], *path: str) -> list[dict[str, Any]]:
    """The objects in the list at `path`; empty where there is none."""
    value: Any = answer
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
