"""What a server is shown to be let in, and how it is kept out of everything evalkit writes."""

from __future__ import annotations

import base64
import os
import re
from urllib.parse import unquote, urlsplit, urlunsplit

from evalkit.errors import EvalkitError, one_line

_SHORTEST_SECRET = 6
_SHORTEST_SECRET_IN_ANSWER = 16
_MASK = "[redacted]"


class Credentials:
    """The key and the URL credentials of one server; neither shows in its repr.

    Args:
        base_url: as the user gave it, possibly `http://user:password@host/v1`.
        variable: name of the environment variable that holds the key.

    Raises:
        EvalkitError: `variable` is no name of one.
    """

    __slots__ = ("_base_url", "_header", "_secrets", "variable")

    def __init__(self, base_url: str, variable: str) -> None:
        if not re.fullmatch(r"[A-Za-z_]\w*", variable):
            # it may be the key itself, so it is not repeated
            raise EvalkitError("api_key_env takes the name of an environment variable, not the key")
        self._base_url = base_url
        self.variable = variable
        self._header: str | None = None
        self._secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Credentials({self.variable})"

    def resolve(self) -> str:
        """Read the environment and take the URL apart.

        Returns:
            The base URL without credentials and without a trailing slash.

        Raises:
            EvalkitError: the URL is not an http(s) base URL, or the key cannot be sent in a header.
        """
        shown = one_line(re.sub(r"[^/]*@", "", self._base_url).split("?")[0], 200)
        try:
            parts = urlsplit(self._base_url.strip())
            host, port = parts.hostname, parts.port
        except ValueError:
            raise EvalkitError(f"base_url {shown!r} is not a URL; write e.g. http://localhost:8000/v1") from None
        if parts.scheme not in ("http", "https") or not host:
            raise EvalkitError(f"base_url {shown!r} must start with http:// or https://, e.g. http://localhost:8000/v1")
        if parts.query or parts.fragment:
            raise EvalkitError(f"base_url {shown!r} must end with its path: leave out '?' and '#'")
        self._read(unquote(parts.username or ""), unquote(parts.password or ""))
        place = f"[{host}]" if ":" in host else host
        if port is not None:
            place += f":{port}"
        return urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))

    def _read(self, user: str, password: str) -> None:
        key = os.environ.get(self.variable, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise EvalkitError(f"the value of {self.variable} holds characters that no HTTP header can carry")
        if user or password:
            # What stands in the URL was meant for this server; the variable may be set for another one.
            basic = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._header = f"Basic {basic}"
            self._secrets = (basic, password)
        elif key:
            self._header = f"Bearer {key}"
            self._secrets = (key,)
        else:
            self._header, self._secrets = None, ()

    @property
    def present(self) -> bool:
        """Whether there is anything to show to the server."""
        return self._header is not None

    @property
    def headers(self) -> dict[str, str]:
        """The request headers that let evalkit in."""
        return {"Authorization": self._header} if self._header else {}

    def redact(self, text: str) -> str:
        """`text`, from a server, without the secrets."""
        return self._without(text, _SHORTEST_SECRET)

    def redact_answer(self, text: str) -> str:
        """A model's text without the secrets.

        Words such as "EMPTY" that serve as a key for servers without one are no secrets, and a
        model may well write them: only what is long enough to be a real key is masked.
        """
        return self._without(text, _SHORTEST_SECRET_IN_ANSWER)

    def _without(self, text: str, shortest: int) -> str:
        for secret in self._secrets:
            if len(secret) >= shortest and secret in text:
                text = text.replace(secret, _MASK)
        return text
