"""From an empty interpreter to a fork server, in namespaces of its own where the tier asks for them.

Three processes: the launcher, whose end the host sees and which removes the sandbox's folder; the keeper, which
takes in and ends what is left over, and starts a new server when the host asks for one; the server. Sessions
outlive a server that dies. When the host ends, however it does, the keeper sees its socket close and ends all.
"""

from __future__ import annotations

import os
import secrets
import select
import shutil
import signal
import socket
import time
from json import loads
from typing import Any

from . import kernel, root, server
from .syscalls import Calls

_MAX_CONFIG = 1 << 18
_CHECK_MS = 1000
_END_S = 5.0
# Users that no system gives to anyone (systemd, "Users, Groups, UIDs and GIDs").
_FREE_IDS, _BLOCK, _BLOCKS = 0x70000000, 1 << 16, 1 << 12
_FEW_IDS = 4096


def main(fd: int) -> None:
    """Start the first server as the message on the socket `fd` says; never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Sessions run as users of their own and must be able to read what is made here.
    os.umask(0o022)
    lifeline = socket.socket(fileno=fd)
    message, fds, _, _ = socket.recv_fds(lifeline, _MAX_CONFIG, 1, socket.MSG_CMSG_CLOEXEC)
    if not message:
        # the host ended before it could say which folder is the sandbox's: it is also the one for temporary files
        folder = os.environ.get("TMPDIR", "")
        # should it ever be the user's own instead, it stays
        if os.path.basename(folder).startswith("evalkit-sandbox-"):
            shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)
    config, control = loads(message), socket.socket(fileno=fds[0])
    try:
        ids = _ids() if config["tier"] != "T0" else (-1, 0)
        proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if config["tier"] == "T1":
            _leave(proc, own_users=ids[0] < 0)
        else:
            kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        pid = os.fork()
        if pid == 0:
            _keep(lifeline, control, config, proc, ids)
    except BaseException as error:
        server.tell_failure(control, error)
        os._exit(1)
    lifeline.close()
    control.close()
    while os.waitpid(-1, 0)[0] != pid:
        continue
    _end_children()
    shutil.rmtree(config["root"], ignore_errors=True)
    os._exit(0)


def _leave(proc: int, own_users: bool) -> None:
    """Leave the host's namespaces, all but the mounts'."""
    if own_users:
        uid, gid = os.geteuid(), os.getegid()
        kernel.unshare(kernel.NEWUSER, "user namespace")
        kernel.map_ids(proc, uid, gid, 0)
    for kind, name in (
        (kernel.NEWNET, "network namespace"),
        (kernel.NEWIPC, "ipc namespace"),
        (kernel.NEWUTS, "uts namespace"),
        (kernel.NEWPID, "pid namespace"),
    ):
        kernel.unshare(kind, name)


def _keep(
    lifeline: socket.socket, control: socket.socket, config: dict[str, Any], proc: int, ids: tuple[int, int]
) -> None:
    """The keeper; never returns."""
    try:
        if config["tier"] == "T1":
            kernel.unshare(kernel.NEWNS, "mount namespace")
            kernel.set_host_name("sandbox")
            root.build(config["root"], config["reads"], config["hidden"])
            root.enter(config["root"], Calls().other["pivot_root"])
            root.close("/")
        else:
            kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        _start(lifeline, control, config, proc, ids)
        _attend(lifeline, config, proc, ids)
    except BaseException as error:
        server.tell_failure(control, error)
    finally:
        os._exit(1)


def _attend(lifeline: socket.socket, config: dict[str, Any], proc: int, ids: tuple[int, int]) -> None:
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    while True:
        if poll.poll(_CHECK_MS):
            message, fds, _, _ = socket.recv_fds(lifeline, _MAX_CONFIG, 1, socket.MSG_CMSG_CLOEXEC)
            if not message:
                break
            _start(lifeline, socket.socket(fileno=fds[0]), config, proc, ids)
        _bury()
    if config["tier"] != "T1":
        # In a process namespace all end with the keeper.
        _end_children()
    os._exit(0)


def _start(
    lifeline: socket.socket, control: socket.socket, config: dict[str, Any], proc: int, ids: tuple[int, int]
) -> None:
    if os.fork() == 0:
        lifeline.close()
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        server.serve(control, config, proc, ids)
    control.close()


def _bury() -> bool:
    """Wait for children that have ended; whether there are others."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return False
    return True


def _end_children() -> None:
    """End all children, and theirs, which become this process's when their parents end."""
    deadline = time.monotonic() + _END_S
    while _bury() and time.monotonic() < deadline:
        for task in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{task}/children") as file:
                for child in file.read().split():
                    os.kill(int(child), signal.SIGKILL)
        time.sleep(0.002)


def _ids() -> tuple[int, int]:
    """First of a range of users that sessions may run as, and its length; -1 without the right to change user."""
    if os.geteuid() != 0:
        return -1, 0
    few = (-1, 0)
    with open("/proc/self/uid_map") as users, open("/proc/self/gid_map") as groups:
        if users.read() != groups.read():
            return few
    with open("/proc/self/uid_map") as users:
        for line in users:
            first, _, count = map(int, line.split())
            if first <= _FREE_IDS and first + count >= _FREE_IDS + _BLOCK * _BLOCKS:
                return _FREE_IDS + secrets.randbelow(_BLOCKS) * _BLOCK, _BLOCK
            if count > 4 * _FEW_IDS:
                few = first + count - 2 * _FEW_IDS, _FEW_IDS
    return few
