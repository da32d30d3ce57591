"""Whether a scorer asks the network, and with what key.

Many scorers ask a judge behind an API, catch whatever goes wrong, and call the answer wrong. So it is looked at what
they really do: without a key of theirs in the environment the attempt is stopped and told.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

_LOCAL = ("127.", "localhost", "::1", "0.0.0.0")
_EVENTS = ("socket.getaddrinfo", "socket.connect")


class Watch:
    """Looks at what the code within `watching` does with sockets. One is enough for a process, as audit hooks stay.

    Args:
        whole: look at every thread, as scorers start some; else at the one that watches, and no key helps.
    """

    def __init__(self, whole: bool = True) -> None:
        self._whole = whole
        self._watching = 0
        self._sleep = time.sleep
        self.asked: list[str] = []
        sys.addaudithook(self._seen)
        time.sleep = self._nap

    @property
    def allowed(self) -> bool:
        """Whether scorers may ask."""
        return self._whole and has_key()

    @contextlib.contextmanager
    def watching(self) -> Iterator[list[str]]:
        """The hosts that are asked for within; whether or not they could be reached."""
        self.asked, self._watching = [], threading.get_ident()
        try:
            yield self.asked
        finally:
            self._watching = 0

    def _here(self) -> bool:
        return bool(self._watching) and (self._whole or self._watching == threading.get_ident())

    def _seen(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _EVENTS or not self._here():
            return
        host = _host(event, arguments)
        if not host or host.startswith(_LOCAL):
            return
        self.asked.append(host)
        if not self.allowed:
            raise ConnectionRefusedError(f"no API key is set, so {host} is not asked")

    def _nap(self, seconds: Any) -> None:
        # a scorer that waits for better times with a network it will not get
        if not (self._here() and self.asked and not self.allowed):
            self._sleep(seconds)


def has_key() -> bool:
    """Whether the environment holds a key for an API."""
    return any(value and "API_KEY" in name for name, value in os.environ.items())


def _host(event: str, arguments: tuple[Any, ...]) -> str:
    if event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        address = arguments[1] if len(arguments) > 1 else None
        host = address[0] if isinstance(address, tuple) and address else ""
    return host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")
