"""One hook in a thread of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from evalkit.errors import one_line
from evalkit.hooks.base import Hook
from evalkit.secrets import without_secrets

BACKLOG = 1 << 26
"""Bytes of records that wait for a hook; what comes beyond is not told to it, and counted."""


class Teller:
    """Tells one hook of a run, in order.

    A call that raises is said once, counted, and forgotten: the hook is told of what comes next all the same. The
    thread dies with the process: a hook that never comes back does not keep it alive.

    Attributes:
        name: the hook's, for messages.
        failures: calls that raised.
        left_out: records that found no room.
        waiting: calls that are not through.
    """

    def __init__(self, hook: Hook, say: Callable[[str], None]) -> None:
        self.name = one_line(getattr(hook, "name", None) or type(hook).__name__, 60)
        self.failures = self.left_out = self.waiting = 0
        self._hook = hook
        self._say = say
        self._bytes = 0
        self._since: float | None = None
        self._lock = threading.Lock()
        self._calls: SimpleQueue[tuple[str, Callable[[], tuple[object, ...]], int]] = SimpleQueue()
        threading.Thread(target=self._work, name=f"evalkit-hook-{self.name}", daemon=True).start()

    def tell(self, what: str, about: Callable[[], tuple[object, ...]] = tuple, size: int = 0) -> None:
        """Have a method of the hook called, and come back at once.

        Args:
            what: its name; a user's own class need not have them all.
            about: makes its arguments, in the hook's thread.
            size: bytes that wait with it; such a call is left out where the hook is too far behind.
        """
        with self._lock:
            if size and self._bytes + size > BACKLOG:
                self.left_out += 1
                return
            self._bytes += size
            self.waiting += 1
        self._calls.put((what, about, size))

    def stuck_s(self) -> float:
        """Seconds that the call which is going on has lasted; 0 between calls."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def _work(self) -> None:
        what = ""
        while what != "close":
            what, about, size = self._calls.get()
            self._since = time.monotonic()
            self._call(what, about)
            self._since = None
            with self._lock:
                self._bytes -= size
                self.waiting -= 1

    def _call(self, what: str, about: Callable[[], tuple[object, ...]]) -> None:
        try:
            if (call := getattr(self._hook, what, None)) is not None:
                call(*about())
        except BaseException as error:
            # a hook may fail in any way, SystemExit among them, and watches only
            self.failures += 1
            if self.failures == 1:
                why = one_line(without_secrets(f"{type(error).__name__}: {error}"), 300)
                # nor does a terminal that is gone cost the calls to come
                with contextlib.suppress(Exception):
                    self._say(
                        f"note: {self.name} failed ({why}); the run goes on, and its records and figures are whole"
                    )
