"""What a server's answers mean: refusals, errors dressed as answers, broken connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from evalkit.engines.openai.auth import Credentials
from evalkit.engines.openai.chat import BadReplyError
from evalkit.engines.openai.retry import TryAgainError, failure, retry_after, server_message
from evalkit.errors import EngineError, EngineUnavailableError, one_line


class Replies:
    """Reads one server's answers; secrets that it echoes are masked.

    Attributes:
        answered: it has given a completion, so its address, key and model's name are right.
    """

    def __init__(self, url: str, credentials: Credentials) -> None:
        self.answered = False
        self._url = url
        self._credentials = credentials

    def refusal(self, status: int, headers: Mapping[str, str], raw: bytes) -> EngineError | TryAgainError:
        """What a reply with a status other than 200 means, as the exception to raise."""
        if 300 <= status < 400:
            place = one_line(self._credentials.redact(headers.get("Location", "elsewhere")), 200)
            return EngineUnavailableError(f"{self._url} redirects to {place}: give that server's own base_url")
        message = self._credentials.redact(server_message(raw))
        meant = failure(status, message, retry_after(headers.get("Retry-After")))
        if status == 401 and isinstance(meant, EngineUnavailableError):
            return EngineUnavailableError(f"{meant}: mend the key in {self._credentials.variable}")
        if self.answered and status in (403, 404) and isinstance(meant, EngineUnavailableError):
            # it has answered others: it is this request that it does not take, e.g. a moderated question
            return EngineError(f"the server refuses the request ({status}: {one_line(message)})")
        return meant

    def bad(self, raw: bytes, problem: BadReplyError) -> EngineError | TryAgainError:
        """What a 200 means that is no completion: an error object says what it is, anything else may pass."""
        try:
            whole = msgspec.json.decode(problem.raw or raw)
            error = whole.get("error") or (whole if whole.get("object") == "error" else None)
        except (msgspec.MsgspecError, ValueError, RecursionError, AttributeError):
            error = None
        if not error:
            # Cut only after redacting, or half a secret may be left.
            start = one_line(self._credentials.redact(raw.decode("utf-8", "replace")), 80)
            reason = one_line(self._credentials.redact(str(problem)), 160)
            return TryAgainError(f"{reason}; it begins: {start}" if start else reason)
        code = error.get("code") if isinstance(error, dict) else None
        message = self._credentials.redact(server_message(problem.raw or raw))
        meant = failure(code if isinstance(code, int) and 400 <= code < 600 else 400, message)
        if isinstance(code, int) or type(meant) is not EngineError:
            return meant
        return TryAgainError(f"200 with an error: {one_line(message)}")

    def broken(self, error: BaseException, limit_s: float) -> TryAgainError:
        """What an exchange that broke off means."""
        return TryAgainError(self.reason(error, limit_s), costly=isinstance(error, TimeoutError))

    def reason(self, error: BaseException, limit_s: float) -> str:
        """Why an exchange broke off, in one line."""
        if isinstance(error, TimeoutError):
            return f"no reply within {limit_s:g} s"
        return one_line(f"{type(error).__name__}: {self._credentials.redact(str(error))}", 200)

    def said(self, raw: bytes) -> str:
        """The message in an answer's body, without secrets."""
        return self._credentials.redact(server_message(raw))

    def text(self, text: str) -> str:
        """What the model said, without secrets."""
        return self._credentials.redact_answer(text)

    def word(self, value: object, limit: int = 40) -> str:
        """A short text of the server's that is recorded: on one line, without secrets."""
        return one_line(self._credentials.redact(str(value)), limit)

    def header(self, headers: Mapping[str, Any], name: str) -> str | None:
        """A header in one line, without secrets; None if it is not there."""
        return one_line(self._credentials.redact(headers.get(name, "")), 80) or None
