"""A run's folder sent to object storage while it is filled."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from evalkit.errors import one_line
from evalkit.runs.folder import INFO, SAMPLES
from evalkit.runs.remote.bucket import Bucket
from evalkit.runs.remote.fetch import DERIVED, PICTURES, STREAMS, Fetched
from evalkit.runs.remote.lock import StoreLock
from evalkit.runs.remote.segments import next_lines, segment_of

LINES = 256
"""So many new lines are sent before their time has come, where sending costs little."""
_CHEAP_S = 60.0
_POLL_S = 0.5
_LONGEST_PAUSE_S = 30.0
_LAST_PAUSE_S = 2.0
_BATCH_BYTES = 32 << 20


class Mirror:
    """Sends what a run's folder gains: whole lines as objects that never change, images once, small files whole.

    An image is in the store before the lines that name it. A store that fails is tried again, later and later, and
    the run does not wait for it.

    Args:
        bucket: the run's objects.
        folder: the run's folder.
        have: what the store has already; it is kept up to date.
        lock: on the run in the store; nothing is sent once it is lost.
        every: seconds between two sendings of lines.
        live: whether the run goes on; `run.json` of a finished one is sent last, so that no part of it looks whole.
        say: shows one line to the user.
    """

    def __init__(
        self,
        bucket: Bucket,
        folder: Path,
        have: Fetched,
        lock: StoreLock,
        every: float,
        say: Callable[[str], None],
        *,
        live: bool,
    ) -> None:
        self._bucket = bucket
        self._folder = folder
        self._have = have
        self._lock = lock
        self._every = every
        self._say = say
        self._live = live
        self._small: dict[str, bytes] = {}
        self._damaged = 0
        self._problem = ""
        self._went_on = time.monotonic()
        self._patience = float("inf")
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evalkit-mirror", daemon=True)
        self._thread.start()

    def finish(self, patience_s: float) -> str:
        """Send what is left.

        Args:
            patience_s: how long a store is waited for that takes nothing.

        Returns:
            Why not everything is in the store; empty where it is.
        """
        self._went_on, self._patience = time.monotonic(), patience_s
        self._ending.set()
        while self._thread.is_alive() and time.monotonic() - self._went_on <= patience_s + _LAST_PAUSE_S:
            self._thread.join(0.1)
        if self._thread.is_alive():
            return self._problem or f"{self._bucket} does not answer"
        return self._problem

    def left(self) -> int:
        """Trajectories' lines that are not in the store."""
        data = next_lines(self._folder / SAMPLES, self._have.sent["samples"], -1)
        return data.count(b"\n")

    def _run(self) -> None:
        pause, sent_at, said = 0.0, float("-inf"), False
        while True:
            self._ending.wait(pause or _POLL_S)
            # known before the work: what comes after it is in the next round
            ending = self._ending.is_set()
            due = ending or time.monotonic() - sent_at >= self._every
            try:
                self._lock.check()
                if self._lock.lost:
                    self._problem = f"{self._bucket} was taken over by {self._lock.lost}"
                    return
                if self._push(due, ending):
                    sent_at = time.monotonic()
            except Exception as error:
                # whatever a store's library raises: the run must not end for it, and it is tried again
                self._problem = one_line(error, 400)
                pause = min(max(1.0, 2 * pause), _LAST_PAUSE_S if ending else _LONGEST_PAUSE_S)
                if not said:
                    self._say(f"note: {self._problem}; the run goes on, and what the store lacks is sent later")
                    said = True
                if ending:
                    if time.monotonic() - self._went_on > self._patience:
                        return
                    time.sleep(pause)
                continue
            if said:
                self._say(f"note: {self._bucket} takes what it is sent again")
            pause, said, self._problem = 0.0, False, ""
            if ending:
                if self._damaged:
                    self._problem = f"{self._damaged} images in {self._folder} are not what their names say"
                return

    def _push(self, due: bool, ending: bool) -> bool:
        """Send what is new; whether lines were."""
        if self._live:
            self._put_small([INFO])
        sent = False
        for stream, kind in zip(STREAMS, PICTURES, strict=True):
            file = self._folder / f"{stream}.jsonl"
            while lines := next_lines(file, self._have.sent[stream]):
                if not due and (self._every > _CHEAP_S or lines.count(b"\n") < LINES):
                    break
                self._put_pictures(kind)
                segment = segment_of(stream, self._have.numbers[stream] + 1, lines)
                self._put({segment.name: lines})
                self._have.numbers[stream] += 1
                self._have.sent[stream] += len(lines)
                sent = True
        if ending:
            self._damaged = sum(map(self._put_pictures, PICTURES))
            self._put_small([*DERIVED, INFO])
        return sent

    def _put(self, objects: dict[str, bytes]) -> None:
        self._bucket.put(objects)
        self._went_on = time.monotonic()

    def _put_small(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                data = (self._folder / name).read_bytes()
            except FileNotFoundError:
                continue
            if self._small.get(name) != data:
                self._put({name: data})
                self._small[name] = data

    def _put_pictures(self, kind: str) -> int:
        """Send a folder's images that the store has not; how many are not what their names say."""
        batch: dict[str, bytes] = {}
        damaged = 0
        for name in self._new_pictures(kind):
            data = (self._folder / kind / name).read_bytes()
            if hashlib.sha256(data).hexdigest() != name.partition(".")[0]:
                # it is being written, and no line names it yet
                damaged += 1
                continue
            if sum(map(len, batch.values())) + len(data) > _BATCH_BYTES:
                self._put_batch(kind, batch)
                batch = {}
            batch[name] = data
        self._put_batch(kind, batch)
        return damaged

    def _put_batch(self, kind: str, batch: dict[str, bytes]) -> None:
        if batch:
            self._put({f"{kind}/{name}": data for name, data in batch.items()})
            self._have.pictures[kind].update(batch)

    def _new_pictures(self, kind: str) -> list[str]:
        try:
            names = set(os.listdir(self._folder / kind))
        except FileNotFoundError:
            return []
        return [name for name in names - self._have.pictures[kind] if not name.startswith(".")]
