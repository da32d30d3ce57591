"""The hooks of a run, each told of it apart from the run and from the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import msgspec

from evalkit.hooks.base import Hook
from evalkit.hooks.teller import Teller
from evalkit.images import encode_hook
from evalkit.records import Record
from evalkit.runs.folder import RunInfo
from evalkit.runs.store import record_decoder

if TYPE_CHECKING:
    from evalkit.analysis import Summary

PATIENCE_S = 60.0
"""Seconds that one call of a hook is waited for at the end of a run."""
BROKEN_OFF_S = 10.0
"""Seconds that all calls of a hook are waited for where the run was broken off."""
SAID_AFTER_S = 3.0
_LOOK_S = 0.02


class Hooks:
    """Tells all hooks, and waits for them at the end of a run, but not for ever.

    What a hook gets is a copy: nothing that it does to it reaches the run.

    Args:
        hooks: whom to tell.
        say: shows one line to the user.
        presses: how often the user has pressed Ctrl-C; once more ends the wait.
    """

    def __init__(
        self, hooks: Sequence[Hook], say: Callable[[str], None], presses: Callable[[], int] = lambda: 0
    ) -> None:
        self._hooks = tuple(hooks)
        self._say = say
        self._presses = presses
        self._tellers: list[Teller] = []
        self._left: set[Teller] = set()
        self._encoder = msgspec.json.Encoder(enc_hook=encode_hook)
        self._folder = Path()

    async def __aenter__(self) -> Hooks:
        self._tellers = [Teller(hook, self._say) for hook in self._hooks]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for teller in self._tellers:
            teller.tell("close")
        await self.told(None if kind is None else BROKEN_OFF_S)
        for teller in self._tellers:
            if teller.failures > 1:
                self._say(f"note: {teller.name} failed {teller.failures} times; what it was to log is not complete")
            if teller.left_out:
                self._say(
                    f"note: {teller.name} was too slow: {teller.left_out} trajectories were not told to it; "
                    "the run folder has them all"
                )

    def start(self, info: RunInfo, folder: Path) -> None:
        """A run starts, or goes on."""
        self._folder = folder
        data = msgspec.json.encode(info) if self._tellers else b""
        for teller in self._tellers:
            teller.tell("on_run_start", lambda: (msgspec.json.decode(data, type=RunInfo), folder))

    def sample(self, record: Record) -> None:
        """A trajectory is stored."""
        if not self._tellers:
            return
        # as a line it holds no pixels, however long a hook lets it wait
        line, folder = self._encoder.encode(record), self._folder
        for teller in self._tellers:
            teller.tell("on_sample_end", lambda: (record_decoder(folder)(line),), len(line))

    async def end(self, summary: Summary, folder: Path) -> None:
        """A run is through; returns when all hooks have been told of all of it, or are waited for no longer."""
        for teller in self._tellers:
            teller.tell("on_run_end", lambda: (summary, folder))
        await self.told()

    async def told(self, longest_s: float | None = None) -> None:
        """Wait until the hooks have been told of everything so far.

        Args:
            longest_s: of waiting for one of them; None waits as long as it gets on.
        """
        pressed = self._presses()
        for teller in self._tellers:
            await self._wait(teller, pressed, longest_s)

    async def _wait(self, teller: Teller, pressed: int, longest_s: float | None) -> None:
        began, said = time.monotonic(), False
        while teller.waiting:
            waited = time.monotonic() - began
            stuck = teller.stuck_s() > PATIENCE_S or (longest_s is not None and waited > longest_s)
            if stuck or teller in self._left or self._presses() != pressed:
                if teller not in self._left:
                    self._left.add(teller)
                    self._say(
                        f"note: {teller.name} was not waited for any longer, with {_calls(teller.waiting)} to go; "
                        "what it was to log is not complete"
                    )
                return
            if not said and waited > SAID_AFTER_S:
                said = True
                self._say(f"waiting for {teller.name}, {_calls(teller.waiting)} to go; Ctrl-C ends the wait")
            await asyncio.sleep(_LOOK_S)


def _calls(count: int) -> str:
    return f"{count} call" if count == 1 else f"{count} calls"
