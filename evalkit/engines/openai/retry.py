"""Which failures of a server are worth another try, and how long to wait before it."""

from __future__ import annotations

import math
import random
import re
import time
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from evalkit.errors import ContextLengthError, EngineError, EngineUnavailableError, one_line

RETRY_AFTER_CAP_S = 60.0
"""Longest wait that a server's Retry-After header is granted."""
BACKOFF_CAP_S = 30.0
"""Longest wait of evalkit's own before another try."""
RETRIED_STATUS = frozenset({408, 409, 425, 429})
BUSY_STATUS = frozenset({429, 529})
"""The server works and has too much to do: back-pressure, no failure."""
_GONE_STATUS = frozenset({401, 402, 403, 404, 405})
_CONTEXT = re.compile(
    r"maximum context length|context_length_exceeded|exceed_context_size|maximum model length"
    r"|longer than the (model's|maximum) (context|model)|exceeds? the (model's |available |maximum )*context"
    r"|(max_tokens|max_completion_tokens)\W+must be at least 1, got -",
    re.IGNORECASE,
)
_SCHEMA = re.compile(r"response_format|schema|guided|grammar|structured", re.IGNORECASE)
# Own generator: a user's random.seed must not make all clients retry at the same moment.
_random = random.Random()


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long a request is worth waiting for; all in seconds but `attempts`.

    Attributes:
        timeout_s: of each try, from sending it to its last byte.
        silence_s: between two pieces of a reply that has begun to come.
        attempts: tries a request gets; being put off for load (429, 529) does not count.
        backoff_s: upper end of the first wait between tries; doubles each time.
        busy_s: waiting in all while the server puts a request off for load.
        outage_s: waiting while no server can be reached.
    """

    timeout_s: float = 600.0
    silence_s: float = 120.0
    attempts: int = 5
    backoff_s: float = 0.5
    busy_s: float = 900.0
    outage_s: float = 120.0


class TryAgainError(Exception):
    """One try failed in a way that another may not.

    Attributes:
        wait_s: what the server asked for, if anything.
        costly: the try took a whole time limit.
        overload: the server has too much to do.
    """

    def __init__(self, reason: str, wait_s: float | None = None, costly: bool = False, overload: bool = False) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.costly = costly
        self.overload = overload


class BusyError(TryAgainError):
    """The server put the request off because of its load."""


def backoff(failures: int, base_s: float, wait_s: float | None = None) -> float:
    """Seconds to wait after the `failures`-th failed try: exponential with full jitter.

    Args:
        failures: tries that failed so far, from 1.
        base_s: upper end of the first wait.
        wait_s: what the server asked for; the jitter comes on top, so that clients spread.
    """
    drawn = _random.uniform(0, min(BACKOFF_CAP_S, base_s * 2.0 ** min(failures - 1, 30)))
    return drawn if wait_s is None else min(wait_s, RETRY_AFTER_CAP_S) + drawn


def retry_after(header: str | None, now: float | None = None) -> float | None:
    """Seconds that a Retry-After header asks for (a number or an HTTP date); None if it is unreadable."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - (time.time() if now is None else now)
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def server_message(body: bytes) -> str:
    """The message in an error body, in whichever of the usual forms; else the body itself. May be long."""
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return body.decode("utf-8", "replace")
    code = ""
    if isinstance(value, dict) and isinstance(value.get("error"), dict | str):
        value = value["error"]
    if isinstance(value, dict):
        code = str(value.get("code") or "")
        value = value.get("message") or value.get("detail") or value.get("error") or value
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"{text} ({code})" if code and not code.isdigit() and code not in text else text


def no_schemas(status: int, body: bytes) -> bool:
    """Whether a refusal says that the server does not take the JSON schema."""
    return status in (400, 404, 422, 501) and _SCHEMA.search(server_message(body)) is not None


def failure(status: int, message: str, wait_s: float | None = None) -> EngineError | TryAgainError:
    """What a reply that is no completion means for the request.

    Args:
        status: HTTP status, or the code in an error object.
        message: the server's words, without secrets.
        wait_s: what the server asked to wait.

    Returns:
        The exception to raise.
    """
    line = f"{status}: {one_line(message)}" if message.strip() else f"status {status}"
    if status in (400, 413, 422, 500) and _CONTEXT.search(message):
        return ContextLengthError(f"the conversation does not fit the model's context ({line})")
    if status == 429 and "insufficient_quota" in message:
        return EngineUnavailableError(f"the server's quota is used up ({line})")
    if status in BUSY_STATUS:
        return BusyError(line, wait_s, overload=True)
    if status in RETRIED_STATUS or status >= 500:
        return TryAgainError(line, wait_s, overload=status == 503)
    if status in _GONE_STATUS:
        return EngineUnavailableError(f"the server refuses all requests ({line})")
    return EngineError(f"the server refuses the request ({line})")
