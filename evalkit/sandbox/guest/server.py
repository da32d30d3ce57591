"""The fork server: imports once what cells use, then forks a session for every request of the host."""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from json import dumps, loads
from typing import Any

from . import isolate, kernel, landlock, root, session, wire
from .syscalls import Calls

_PRELOADED = (
    "numpy", "numpy.random", "numpy.linalg", "numpy.fft",
    "PIL.Image", "PIL.ImageChops", "PIL.ImageDraw", "PIL.ImageEnhance", "PIL.ImageFilter", "PIL.ImageFont",
    "PIL.ImageOps", "PIL.ImageStat", "matplotlib.pyplot",
    "collections", "itertools", "json", "linecache", "math", "random", "re", "statistics", "traceback",
)  # fmt: skip
_NAMESPACES = ("network namespace", "ipc namespace", "uts namespace", "pid namespace", "mount namespace")
_FAILED = 1


def serve(control: socket.socket, config: dict[str, Any], proc: int, ids: tuple[int, int]) -> None:
    """Serve until the host closes `control`; never returns.

    Args:
        control: takes requests, one message each, with the descriptors of a session's socket and images.
        config: see `evalkit.sandbox._server`.
        proc: descriptor of /proc.
        ids: first of the users that sessions may run as, and how many there are; -1 if none.
    """
    try:
        plan, details = _prepare(config, proc, ids)
        control.send(dumps({"ready": details}).encode())
        _Server(control, plan).run()
    except BaseException as error:
        tell_failure(control, error)
    finally:
        os._exit(_FAILED)


def tell_failure(control: socket.socket, error: BaseException) -> None:
    """Tell the host why there is no server."""
    text = f"{type(error).__name__}: {error}" if not isinstance(error, OSError) else str(error.strerror or error)
    try:
        control.send(dumps({"failed": text[:1000]}).encode())
    except OSError:
        return


class _Server:
    def __init__(self, control: socket.socket, plan: isolate.Plan) -> None:
        self._control = control
        self._plan = plan
        self._poll = select.epoll()
        self._poll.register(control, select.EPOLLIN)
        self._sessions: dict[int, tuple[int, int]] = {}
        self._count = 0
        namespace = plan.tier == "T1"
        self._home = os.open("self/ns/pid", os.O_RDONLY | os.O_CLOEXEC, dir_fd=plan.proc) if namespace else -1

    def run(self) -> None:
        while True:
            for fd, _ in self._poll.poll():
                if fd != self._control.fileno():
                    self._reap(fd)
                elif not self._answer():
                    self._end()

    def _answer(self) -> bool:
        message, fds, _, _ = socket.recv_fds(self._control, 1 << 12, 4, socket.MSG_CMSG_CLOEXEC)
        if not message:
            return False
        number = loads(message)["id"]
        pidfd = -1
        try:
            pid = self._fork(fds)
            pidfd = os.pidfd_open(pid)
            self._sessions[pidfd] = number, pid
            self._poll.register(pidfd, select.EPOLLIN)
            socket.send_fds(self._control, [dumps({"id": number}).encode()], [pidfd])
        except OSError as error:
            self._control.send(dumps({"id": number, "error": str(error)}).encode())
        finally:
            for fd in fds:
                os.close(fd)
        return True

    def _fork(self, fds: list[int]) -> int:
        self._count += 1
        if self._home >= 0:
            kernel.unshare(kernel.NEWPID, "pid namespace of a session")
        try:
            pid = os.fork()
            if pid == 0:
                self._become_session(fds)
            return pid
        finally:
            if self._home >= 0:
                kernel.setns(self._home, kernel.NEWPID)

    def _become_session(self, fds: list[int]) -> None:
        try:
            plan = _keep_only(self._plan, fds)
            gc.enable()
            # Every session would draw the same numbers.
            if random := sys.modules.get("numpy.random"):
                random.seed()
            session.main(wire.SESSION_FD, lambda setup: isolate.confine(plan, self._count, setup))
        finally:
            os._exit(_FAILED)

    def _reap(self, pidfd: int) -> None:
        number, pid = self._sessions.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        # What it started, where it may start anything. Not waited for yet, its id cannot be another's.
        _signal(os.killpg, pid)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self._control.send(dumps({"ended": number, "status": status}).encode())

    def _end(self) -> None:
        for pidfd in self._sessions:
            _signal(signal.pidfd_send_signal, pidfd)
        os._exit(0)


def _signal(send: Callable[[int, int], None], target: int) -> None:
    try:
        send(target, signal.SIGKILL)
    except OSError:
        # It has ended already.
        return


def _keep_only(plan: isolate.Plan, fds: list[int]) -> isolate.Plan:
    """Close all descriptors but the session's own, and number those from 3 on."""
    kept = [*fds, *(fd for fd in (plan.proc, plan.rules) if fd >= 0)]
    high = 1 + max(max(kept), 16)
    for place, fd in enumerate(kept):
        os.dup2(fd, high + place, inheritable=False)
    for place in range(len(kept)):
        os.dup2(high + place, wire.SESSION_FD + place, inheritable=False)
    os.closerange(wire.SESSION_FD + len(kept), 1 << 20)
    moved = {fd: wire.SESSION_FD + place for place, fd in enumerate(kept)}
    return plan._replace(proc=moved.get(plan.proc, -1), rules=moved.get(plan.rules, -1))


def _prepare(config: dict[str, Any], proc: int, ids: tuple[int, int]) -> tuple[isolate.Plan, dict[str, str]]:
    tier = config["tier"]
    details: dict[str, str] = {}
    isolate.raise_own_limits()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = config["settings"]
    if tier == "T1":
        settings = root.SETTINGS
        root.open_settings()
    os.environ.update(MPLBACKEND="Agg", MPLCONFIGDIR=settings, HOME=settings, TMPDIR=settings)
    sys.path.extend(config["packages"])
    _import()
    calls, rules, tasks = None, -1, 0
    if tier == "T1":
        root.close(root.SETTINGS)
        details |= dict.fromkeys((*_NAMESPACES, "own root"), "yes")
        details["user namespace"] = "yes" if ids[0] < 0 else "not needed: a user of its own for each session"
    if tier != "T0":
        calls = Calls()
        try:
            rules, details["landlock"] = _rules(config, tier)
        except OSError as error:
            if tier == "T2":
                raise
            details["landlock"] = f"no: {error.strerror}"
    if tier == "T2" and ids[0] < 0:
        tasks = _tasks()
    readable = all(_readable(path) for path in config["reads"])
    plan = isolate.Plan(tier, proc, calls, rules, *ids, readable, tasks, config["folder"])
    gc.collect()
    gc.disable()
    gc.freeze()
    return plan, details


def _import() -> None:
    """Import what cells use and use it once: matplotlib finds its fonts, Pillow its formats."""
    for name in _PRELOADED:
        try:
            import_module(name)
        except ImportError:
            # Not installed. A cell that asks for it is told so.
            continue
    if pillow := sys.modules.get("PIL.Image"):
        pillow.init()
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        from io import BytesIO

        figure, axes = pyplot.subplots()
        axes.plot([1, 2])
        axes.set_title("$x^2$")
        figure.savefig(BytesIO(), format="png", bbox_inches="tight")
        pyplot.close("all")
        del figure, axes


def _rules(config: dict[str, Any], tier: str) -> tuple[int, str]:
    abi = landlock.version()
    if tier == "T2" and abi < 3:
        raise OSError(0, f"landlock: ABI 3 is needed (Linux 6.2), this is {abi}")
    reads = [os.path.realpath(path) for path in config["reads"]]
    hidden = [os.path.realpath(path) for path in config["hidden"]]
    rules = [rule for path in reads for rule in landlock.without(path, hidden)]
    rules += [(f"/dev/{name}", landlock.USE if name == "null" else landlock.READ) for name in root.DEVICES]
    if tier == "T1":
        # The folder above: rules hold for a file system as a whole, and each session mounts its own later.
        rules += [(os.path.dirname(root.HOME), landlock.OWN), (root.SETTINGS, landlock.READ)]
    else:
        rules += [(config["settings"], landlock.READ), (config["folder"], landlock.READ)]
    note = "yes" if abi >= 6 else f"yes (ABI {abi}; seccomp alone keeps sockets and signals in)"
    return landlock.ruleset(rules), note


def _readable(path: str) -> bool:
    """Whether a user without rights of its own may read `path`."""
    while True:
        try:
            if os.path.lexists(path) and os.stat(path).st_mode & 0o5 != 0o5 and os.path.isdir(path):
                return False
        except OSError:
            return False
        if path == os.path.dirname(path):
            return True
        path = os.path.dirname(path)


def _tasks() -> int:
    """Threads of this user."""
    me, count = os.geteuid(), 0
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == me:
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue
    return count
