"""The lock of a run in object storage: who fills it, and whether that process still gives signs of life."""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import time
from collections.abc import Callable
from uuid import uuid4

import msgspec

from evalkit.errors import InfrastructureError
from evalkit.runs.lock import Holder, clock, kernel_id
from evalkit.runs.remote.bucket import Bucket, StoreError

LOCK = "lock.json"
MISSED = 6
"""Signs of life that a process may leave out before it counts as gone."""
SETTLE_S = 1.0
"""Of two that take a lock at the same moment, both have written after this long, and the second stands there."""
_TRIES = 3


class Sign(Holder, frozen=True, kw_only=True):
    """The contents of the lock object.

    Attributes:
        token: of this taking of the lock.
        spool: which copy it fills the run from; no two processes fill from one.
        every: seconds between two signs of life.
        beat: counts them.
        at: when it gave the last, seconds since 1970 by its own clock.
    """

    token: str
    spool: str
    every: float
    beat: int = 0
    at: float = 0.0


class InUseError(InfrastructureError):
    """Another process fills the run, or somebody's run is there already."""


class StoreLock:
    """The right to write to a run in object storage.

    A store frees nothing when a process dies. A lock that this machine's own copy of the run left behind is taken over
    at once, because no other process can have that copy open. Any other counts as alive for `MISSED` of its beats
    after its last one; then it is watched for some beats more, since clocks differ, and taken over if nothing comes.

    Args:
        bucket: the run's objects.
        spool: which copy of the run is filled; its lock on this machine is held.
        every: seconds between two signs of life.
        say: shows one line to the user.

    Attributes:
        taken_over: who left the lock behind; None where nobody had.

    Raises:
        InUseError: another process has the run.
        InfrastructureError: the store cannot be read or written.
    """

    def __init__(self, bucket: Bucket, spool: str, every: float, say: Callable[[str], None]) -> None:
        self._bucket = bucket
        self._say = say
        self._sign = Sign(
            host=platform.node(),
            pid=os.getpid(),
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            kernel=kernel_id(),
            token=uuid4().hex,
            spool=spool,
            every=every,
        )
        self.taken_over: Sign | None = None
        self._lost_to = ""
        self._take()
        self._seen = clock()
        self._looking = threading.Lock()
        self._ended = threading.Event()
        self._beats = threading.Thread(target=self._beat, name="evalkit-store-lock", daemon=True)
        self._beats.start()

    @property
    def lost(self) -> str:
        """Who has taken the run over; empty while it is ours."""
        return self._lost_to

    def check(self) -> None:
        """Look whether the run is still ours, where the last look is so old that another may have taken it over.

        Raises:
            StoreError: the store does not answer, or the lock is released.
        """
        if self._ended.is_set():
            raise StoreError(f"{self._bucket} is open to others again")
        if clock() - self._seen > MISSED * self._sign.every / 2:
            self._renew()

    def release(self, patience_s: float) -> None:
        """Let others have the run; after this long without an answer of the store, leave the lock to grow stale."""
        self._ended.set()
        drop = threading.Thread(target=self._drop, name="evalkit-store-unlock", daemon=True)
        drop.start()
        drop.join(patience_s)

    def _drop(self) -> None:
        self._beats.join()
        try:
            if not self._lost_to and self._mine(_read(self._bucket)):
                self._bucket.remove(LOCK)
        except InfrastructureError:
            return

    def _take(self) -> None:
        for _ in range(_TRIES):
            other = _read(self._bucket)
            if other is not None:
                self._wait_for(other)
                self._write()
                self.taken_over = other
            elif not self._bucket.create(LOCK, self._words()):
                continue
            if other is None or not self._same_copy(other):
                time.sleep(SETTLE_S)
            now = _read(self._bucket)
            if self._mine(now):
                return
            if now is not None:
                raise _refused(self._bucket, now)
        raise InUseError(f"{self._bucket} is in use by another evalkit process; wait for it or stop it")

    def _wait_for(self, other: Sign) -> None:
        """Come back when the other is known to be gone.

        Raises:
            InUseError: it lives.
        """
        if self._same_copy(other):
            return
        _refuse_living(self._bucket, other)
        watch = 2.5 * other.every
        self._say(f"{self._bucket} was left locked by {other}; watching for {watch:.0f} s whether it still lives")
        until = time.monotonic() + watch
        while time.monotonic() < until:
            time.sleep(min(1.0, other.every / 2))
            now = _read(self._bucket)
            if now is None:
                return
            if (now.token, now.beat) != (other.token, other.beat):
                raise _refused(self._bucket, now)

    def _beat(self) -> None:
        while not self._ended.wait(self._sign.every):
            # whoever uploads says that the store is away
            with contextlib.suppress(StoreError):
                self._renew()
            if self._lost_to:
                return

    def _renew(self) -> None:
        """Look whether the run is still ours, and give a sign of life."""
        with self._looking:
            try:
                now = _read(self._bucket)
            except StoreError:
                raise
            except InfrastructureError:
                self._lost_to = f"someone who put something else in place of its {LOCK}"
                return
            self._next()
            if now is None and self._bucket.create(LOCK, self._words()):
                # it was removed by hand, and nobody else took it
                self._seen = clock()
                return
            now = now or _read(self._bucket)
            if not self._mine(now):
                self._lost_to = str(now or "someone who removed its lock")
                return
            self._write()
            self._seen = clock()

    def _next(self) -> None:
        self._sign = msgspec.structs.replace(self._sign, beat=self._sign.beat + 1)

    def _words(self) -> bytes:
        self._sign = msgspec.structs.replace(self._sign, at=time.time())
        return msgspec.json.encode(self._sign) + b"\n"

    def _write(self) -> None:
        self._bucket.put({LOCK: self._words()})

    def _mine(self, sign: Sign | None) -> bool:
        return sign is not None and sign.token == self._sign.token

    def _same_copy(self, other: Sign) -> bool:
        return _same_copy(other, self._sign.spool)


def check_unlocked(bucket: Bucket, spool: str) -> None:
    """Refuse a run early that another process fills; who takes the lock decides.

    Args:
        bucket: the run's objects.
        spool: see `StoreLock`.

    Raises:
        InUseError: one does.
        InfrastructureError: the store cannot be read.
    """
    other = _read(bucket)
    if other is not None and not _same_copy(other, spool):
        _refuse_living(bucket, other)


def _read(bucket: Bucket) -> Sign | None:
    data = bucket.read(LOCK)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=Sign)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise InfrastructureError(
            f"{bucket}/{LOCK} is no lock of evalkit's; move it away if nothing else needs it"
        ) from None


def _same_copy(sign: Sign, spool: str) -> bool:
    return sign.spool == spool and sign.here


def _refuse_living(bucket: Bucket, other: Sign) -> None:
    """Refuse where the last sign of life is not old."""
    stale = MISSED * other.every
    quiet = time.time() - other.at
    if 0 <= quiet < stale:
        more = f" (last sign of life {quiet:.0f} s ago); if it is gone, run again in {stale - quiet:.0f} s"
        raise _refused(bucket, other, more)


def _refused(bucket: Bucket, other: Sign, more: str = "; wait for it or stop it") -> InUseError:
    return InUseError(f"{bucket} is in use by another {other}{more}")
