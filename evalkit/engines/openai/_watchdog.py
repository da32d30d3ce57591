"""Runs a server beside evalkit and ends it with evalkit, however that ends. Started as a script of its own.

usage: _watchdog.py GRACE_S COMMAND...

The server shares this process's group. When standard input closes or the parent is gone, the server gets SIGTERM
and GRACE_S seconds to end what it started; then the whole group is ended. When the server ends by itself, its exit
code is passed on.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

_LOOK_S = 0.2
_SET_PARENT_DEATH_SIGNAL = 1


def _die_with_parent() -> None:
    # not every system has it; the group's end covers all but a kill of this process alone
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def main(grace_s: float, command: list[str]) -> int:
    """Run `command` until it ends, or until nobody wants it any more; its exit code as a shell gives it."""
    parent = os.getppid()
    # handlers, not SIG_IGN: that would pass on to the server
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", flush=True)
        return 127
    while server.poll() is None and os.getppid() == parent:
        if select.select([0], [], [], _LOOK_S)[0] and not os.read(0, 1024):
            break
    code = server.poll()
    if code is None:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(grace_s)
        code = 0
    # what the server started and left behind
    os.killpg(0, signal.SIGTERM)
    deadline = time.monotonic() + grace_s / 2
    while _others() and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    if _others():
        os.killpg(0, signal.SIGKILL)
    return code if code >= 0 else 128 - code


def _others() -> bool:
    """Whether the group has members beside this process; only where /proc tells."""
    group = os.getpgrp()
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if not name.isdigit() or int(name) == os.getpid():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                state, _, its_group, *_ = file.read().rpartition(")")[2].split()
            if int(its_group) == group and state not in "ZX":
                return True
    return False


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
