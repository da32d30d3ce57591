"""The lock of a run folder: who fills it, on which machine, and whether that process still lives."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import stat
import threading
import time
import weakref
from pathlib import Path
from types import TracebackType

import msgspec

from evalkit.errors import InfrastructureError, one_line

LOCK = ".lock"
BEAT_S = 10.0
"""Seconds between two signs of life."""
STALE_S = 60.0
"""Seconds without one after which another machine's process counts as gone."""
_TRIES, _PAUSE_S = 5, 0.05
_BUSY = (errno.EWOULDBLOCK, errno.EACCES)
_LONGEST = 4096
"""Bytes of a lock file that are looked at; one of evalkit's has some 150."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of the lock file.

    Attributes:
        host: name of the machine.
        pid: process id there.
        started: UTC, ISO 8601, when it took the lock.
        kernel: which start of which machine; empty where the system does not say. Containers of one machine share it.
    """

    host: str
    pid: int
    started: str
    kernel: str = ""

    def __str__(self) -> str:
        return f"evalkit on host {one_line(self.host, 80)}, process {self.pid}, since {one_line(self.started, 40)}"

    @property
    def here(self) -> bool:
        """Whether it ran under this very kernel, whose word on a lock counts."""
        mine = kernel_id()
        return self.kernel == mine if mine or self.kernel else self.host == platform.node()


class RunLock:
    """The right to fill a run folder, for one process at a time.

    Under one kernel a lock on the open file decides: the system frees it when a process ends, however it ends, so that
    what a killed one left behind is taken over at once. Another machine's process gives a sign of life (the file's
    time) every `BEAT_S` seconds and counts as gone after `STALE_S` seconds without one. One that was only asleep finds
    out before it writes again.

    Args:
        folder: the run folder, which is there.

    Attributes:
        taken_over: who left the lock behind; None where nobody had.

    Raises:
        InfrastructureError: another process has the folder, or the lock cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / LOCK
        self._words = _encoded(Holder(host=platform.node(), pid=os.getpid(), started=_now(), kernel=kernel_id()))
        self._lost = False
        try:
            self._fd, self.taken_over = self._take()
        except OSError as error:
            raise InfrastructureError(f"cannot write {self._file}: {error.strerror}") from error
        self._seen = clock()
        self._ended = threading.Event()
        self._beats = threading.Thread(target=self._beat, name="evalkit-lock", daemon=True)
        self._beats.start()
        _HELD.add(self)

    def __enter__(self) -> RunLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def check(self) -> None:
        """Make sure that the folder is still this process's own.

        Raises:
            InfrastructureError: it gave no sign of life for so long that another has taken over.
        """
        if clock() - self._seen > STALE_S / 2:
            self._look()
        if self._lost:
            now = _read(self._file)
            raise InfrastructureError(
                f"{self._folder} is no longer this process's: "
                + (f"it was taken over by {now}" if now else f"its {LOCK} was removed")
                + "; what was finished is stored, and the same command goes on"
            )

    def release(self) -> None:
        """Let others have the folder; safe to call twice."""
        _HELD.discard(self)
        if self._fd < 0:
            return
        self._ended.set()
        self._beats.join()
        self._look()
        if not self._lost:
            # unlinked while it is held, so that no one else's file is taken for it
            with contextlib.suppress(OSError):
                self._file.unlink()
        self.forget()

    def forget(self) -> None:
        """Close the file and leave the lock to whoever else has it open: a forked child must not keep it alive."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _take(self) -> tuple[int, Holder | None]:
        refused = _in_use(self._folder, None)
        for _ in range(_TRIES):
            fd = _open(self._file, os.O_RDWR | os.O_CREAT)
            try:
                held = take_flock(fd)
                if held is False:
                    # its holder may not have signed yet, or someone may be looking whether it is held
                    refused = _in_use(self._folder, _read(self._file))
                elif os.path.samestat(os.fstat(fd), os.lstat(self._file)):
                    return self._sign(fd, decided=held is True)
            except FileNotFoundError:
                # released between our opening and our looking
                pass
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
            time.sleep(_PAUSE_S)
        raise InfrastructureError(refused)

    def _sign(self, fd: int, decided: bool) -> tuple[int, Holder | None]:
        """Put our name into the file where nobody's who lives stands there; `decided` if the kernel's word counts."""
        left = os.fstat(fd).st_size > 0
        earlier = _read(self._file)
        if left and not (decided and earlier is not None and earlier.here):
            quiet = abs(self._file_time() - os.fstat(fd).st_mtime)
            if quiet < STALE_S:
                raise InfrastructureError(
                    f"{self._folder} is in use by another {earlier or 'evalkit process'} (last sign of life "
                    f"{quiet:.0f} s ago); if that one is gone, run again in {STALE_S - quiet:.0f} s"
                )
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, self._words, 0)
        except OSError:
            self._file.unlink(missing_ok=True)
            raise
        return fd, earlier

    def _file_time(self) -> float:
        """What time it is for the file system, whose clock sets the times of files."""
        probe = self._file.with_name(f"{LOCK}.{platform.node()}.{os.getpid()}")
        try:
            probe.touch()
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            self._look()
            if self._lost:
                return
            # a disk that fails is found by whoever writes
            with contextlib.suppress(OSError):
                os.utime(self._fd)

    def _look(self) -> None:
        """See whether the lock is still ours; a file system that does not answer is no sign that it is not."""
        try:
            self._lost = self._lost or _bytes(self._file) != self._words
        except FileNotFoundError:
            self._lost = True
        except OSError:
            return
        self._seen = clock()


def holder_of(folder: Path) -> Holder | None:
    """Who fills the folder right now; None where nobody does. Nothing is written."""
    file = folder / LOCK
    holder = _read(file)
    if holder is None:
        return None
    try:
        fd = _open(file, os.O_RDONLY)
        try:
            held = take_flock(fd, shared=True)
            quiet = abs(time.time() - os.fstat(fd).st_mtime)
        finally:
            os.close(fd)
    except OSError:
        return None
    lives = held is False or (not (held and holder.here) and quiet < STALE_S)
    return holder if lives else None


def check_free(folder: Path) -> None:
    """Refuse a folder early that another process fills; who takes the lock decides.

    Raises:
        InfrastructureError: see above.
    """
    if holder := holder_of(folder):
        raise InfrastructureError(_in_use(folder, holder))


def take_flock(fd: int, *, shared: bool = False) -> bool | None:
    """Lock an open file until it is closed; whether it could be had, None where the file system knows no locks."""
    import fcntl

    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _BUSY else None
    return True


def _in_use(folder: Path, holder: Holder | None) -> str:
    return f"{folder} is in use by another {holder or 'evalkit process'}; wait for it or stop it"


def _encoded(holder: Holder) -> bytes:
    return msgspec.json.encode(holder) + b"\n"


def _open(file: Path, flags: int) -> int:
    """A descriptor of a lock file and of nothing else: somebody else's folder may have a link or a pipe in its place.

    Raises:
        OSError: it is none, or cannot be opened.
    """
    fd = os.open(file, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is not a file of evalkit's")
    return fd


def _bytes(file: Path) -> bytes:
    fd = _open(file, os.O_RDONLY)
    try:
        return os.read(fd, _LONGEST)
    finally:
        os.close(fd)


def _read(file: Path) -> Holder | None:
    try:
        return msgspec.json.decode(_bytes(file), type=Holder)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def kernel_id() -> str:
    """Which start of which machine this is; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _now() -> str:
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}Z"


def clock() -> float:
    """Seconds that go on while the machine sleeps, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _forget_all() -> None:
    for lock in list(_HELD):
        lock.forget()
    _HELD.clear()


_HELD: weakref.WeakSet[RunLock] = weakref.WeakSet()
os.register_at_fork(after_in_child=_forget_all)
