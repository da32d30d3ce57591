"""A run folder of this machine that stands for one in object storage: brought, filled, sent."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import msgspec

from evalkit.errors import InfrastructureError
from evalkit.runs.folder import INFO, RunInfo
from evalkit.runs.lock import RunLock, holder_of
from evalkit.runs.remote.address import Address, spools
from evalkit.runs.remote.bucket import Bucket
from evalkit.runs.remote.fetch import bring_info, fetch
from evalkit.runs.remote.lock import InUseError, StoreLock, check_unlocked
from evalkit.runs.remote.mirror import Mirror

PATIENCE_S = 60.0
"""How long the end of a run waits for a store that takes nothing."""
HURRY_S = 5.0
"""The same where the run was broken off."""
_LINES_S, _BEAT_S = 5.0, 10.0
_COMMIT_S = 300.0
"""On the Hub's repositories every writing is a commit, and it allows few of them."""
_POLL_S, _FAILURES = 0.2, 5


class RemoteRun:
    """The right to fill a run in object storage, and its folder here, which has all that the store has.

    Args:
        address: of the run.
        say: shows one line to the user.
        live: see `Mirror`.
        new: whether the store must have nothing there.

    Attributes:
        folder: where the run is filled.

    Raises:
        InUseError: another process fills it, or `new` and there is a run already.
        InfrastructureError: the store cannot be reached or written.
        DataError: what is in the store is damaged.
    """

    def __init__(self, address: Address, say: Callable[[str], None], *, live: bool = True, new: bool = False) -> None:
        self.address = address
        self.folder = address.spool
        self._say = say
        bucket = Bucket(address)
        lines, beat = (_COMMIT_S, _COMMIT_S) if _is_repository(address) else (_LINES_S, _BEAT_S)
        with contextlib.ExitStack() as opened:
            desk = _Desk(address)
            opened.enter_context(desk.filling())
            self._lock = StoreLock(bucket, _spool_id(), beat, say)
            opened.callback(self._lock.release, HURRY_S)
            if self._lock.taken_over:
                say(f"note: {address} was left locked by {self._lock.taken_over}; taken over")
            bucket.tidy()
            with desk.fetching():
                if new:
                    # before this machine's own, which is to be sent there, is set aside for it
                    check_new(address)
                desk.reconcile(bucket, say)
                have = fetch(bucket, self.folder, pictures=True)
            if new and have.there:
                raise InUseError(f"{address} is there already; name another place")
            for note in have.notes:
                say(f"note: {note}")
            if not bucket.exclusive:
                say(f"note: {address} cannot refuse a second writer at the same moment; start one evalkit at a time")
            desk.seen()
            self._mirror = Mirror(bucket, self.folder, have, self._lock, lines, say, live=live)
            self._opened = opened.pop_all()

    def close(self, *, hurry: bool = False) -> str:
        """Send what is left and let others have the run.

        Returns:
            One line on what is in the folder here alone, and how to send it; empty where all is in the store.
        """
        try:
            problem = self._mirror.finish(HURRY_S if hurry else PATIENCE_S)
            if not problem:
                return ""
            lines = self._mirror.left()
            what = f"{lines} rows of it are" if lines else "a part of it is"
            return (
                f"{self.address} is not complete: {what} in {self.folder} alone ({problem}); "
                "run the same command again to send it"
            )
        finally:
            self._opened.close()


def check_free(address: Address) -> None:
    """Refuse a run early that another process fills, or whose store does not answer; who takes the lock decides.

    Raises:
        InUseError: one does.
        InfrastructureError: the store cannot be reached.
    """
    _Desk(address).check_free()
    is_there(address)
    check_unlocked(Bucket(address), _spool_id())


def check_new(address: Address) -> None:
    """Refuse an address at which there is a run already.

    Raises:
        InUseError: there is.
        InfrastructureError: the store cannot be reached.
    """
    if is_there(address):
        raise InUseError(f"{address} is there already; name another place")


def is_there(address: Address) -> bool:
    """Whether there is a run at an address.

    Raises:
        InfrastructureError: the store cannot be reached.
    """
    return Bucket(address).read(INFO) is not None


def bring(address: Address, say: Callable[[str], None], *, pictures: bool = True) -> Path:
    """Bring a run to its folder here, for reading.

    A folder that an evalkit of this machine is filling is newer than the store, and is left alone.

    Raises:
        InfrastructureError: the store cannot be reached.
        DataError: what is in the store is damaged.
    """
    desk = _Desk(address)
    bucket = Bucket(address)
    with desk.fetching():
        if not desk.is_filled():
            desk.reconcile(bucket, say)
            if fetch(bucket, address.spool, pictures=pictures).there:
                desk.seen()
    return address.spool


def bring_infos(address: Address, say: Callable[[str], None]) -> list[Address]:
    """The runs right under an address; each has its `run.json` here afterwards, and no other run is here.

    Raises:
        InfrastructureError: the store cannot be reached.
    """
    bucket = Bucket(address)
    there = bucket.read_present(f"{name}/{INFO}" for name in bucket.folders())
    found = [address / name.partition("/")[0] for name in there]
    here = [address / file.parent.name for file in address.spool.glob(f"*/{INFO}")]
    for run in dict.fromkeys([*found, *here]):
        desk = _Desk(run)
        with desk.fetching():
            if not desk.is_filled():
                desk.reconcile(Bucket(run), say)
                if run in found:
                    run.spool.mkdir(parents=True, exist_ok=True)
                    bring_info(Bucket(run), run.spool)
                    desk.seen()
    return found


class _Desk:
    """What stands beside the folder of a run here: who fills it, who brings it, and whether the store ever had it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._folder = address.spool
        self._place = self._folder.with_name(f".{self._folder.name}")

    def filling(self) -> RunLock:
        """The right to fill it, from its start to its end.

        Raises:
            InUseError: another process of this machine does.
        """
        place = self._made("filling")
        try:
            return RunLock(place)
        except InfrastructureError:
            self.check_free()
            raise

    def check_free(self) -> None:
        """Refuse a run that another process fills.

        Raises:
            InUseError: one does.
        """
        if holder := holder_of(self._place / "filling"):
            raise InUseError(f"{self._address} is in use by another {holder}; wait for it or stop it")

    def fetching(self) -> RunLock:
        """The right to bring it from the store; waited for, because that ends."""
        place = self._made("fetching")
        failures = 0
        while True:
            try:
                return RunLock(place)
            except InfrastructureError:
                # not held and not to be had: the disk's fault, unless it was let go this very moment
                failures += holder_of(place) is None
                if failures > _FAILURES:
                    raise
                time.sleep(_POLL_S)

    def is_filled(self) -> bool:
        """Whether a process fills it right now."""
        return holder_of(self._place / "filling") is not None

    def seen(self) -> None:
        """Remember that the store has it."""
        (self._place / "seen").touch()

    def reconcile(self, bucket: Bucket, say: Callable[[str], None]) -> None:
        """Set the folder here aside where the store has another run by that name, or had it and has it no more."""
        try:
            mine = (self._folder / INFO).read_bytes()
        except FileNotFoundError:
            return
        other = bucket.read(INFO)
        if other is None and not (self._place / "seen").exists():
            return
        if other is not None and _identity(mine) == _identity(other):
            return
        aside = self._place / time.strftime("aside-%Y%m%d-%H%M%S", time.gmtime())
        self._folder.rename(aside)
        what = "has no run there any more" if other is None else "has another run there now"
        say(f"note: {self._address} {what}; this machine's copy of the earlier one is in {aside}")

    def _made(self, name: str) -> Path:
        place = self._place / name
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InfrastructureError(f"cannot make {place}: {error.strerror}; free space there") from error
        return place


def _identity(data: bytes) -> tuple[str, str] | None:
    try:
        info = msgspec.json.decode(data, type=RunInfo)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return info.config_hash, info.created


def _is_repository(address: Address) -> bool:
    return address.store == "hf" and address.parts[0] != "buckets"


def _spool_id() -> str:
    """What tells this machine's copies from those of others."""
    file = spools() / "id"
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        made = file.with_name(f".id-{uuid4().hex}")
        made.write_text(uuid4().hex)
        # linked whole: another process may be doing the same
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(made)
        made.unlink()
    return file.read_text()
