"""What a session gives up before its first cell. It cannot be undone."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

from . import kernel, landlock, root, seccomp
from .session import limit
from .syscalls import Calls

_INNER_ID = 1000
_OUT_OF_MEMORY_FIRST = "800"


class Plan(NamedTuple):
    """What the server prepared for its sessions.

    Attributes:
        tier: "T1", "T2" or "T0".
        proc: descriptor of /proc, -1 if it is not needed.
        calls: system call numbers, None in T0.
        rules: descriptor of the landlock rule set, -1 if there is none.
        first_id: of the users that sessions run as, one each; -1 to stay the same user.
        ids: how many there are.
        readable: whether any user may read all that Python needs.
        tasks: of this user when the server started, where sessions do not have users of their own.
        folder: working folder of sessions that may write nothing.
    """

    tier: str
    proc: int
    calls: Calls | None
    rules: int
    first_id: int
    ids: int
    readable: bool
    tasks: int
    folder: str


def confine(plan: Plan, number: int, setup: dict[str, Any]) -> list[str]:
    """Confine this process, which has one thread and no child.

    Args:
        plan: see `Plan`.
        number: of the session.
        setup: the session's first frame.

    Returns:
        The mechanisms in force.

    Raises:
        OSError: the kernel refuses one; no code may run then.
    """
    os.setsid()
    folder = setup["folder"] or plan.folder
    applied: list[str] = []

    def apply(name: str, step: Callable[[], Any]) -> None:
        try:
            step()
        except OSError as error:
            raise OSError(error.errno, f"{name}: {error.strerror or error}") from error
        applied.append(name)

    own_id = plan.first_id >= 0
    if plan.proc >= 0:
        # Not for safety: a machine that runs out of memory should not end the run itself.
        _quietly(lambda: kernel.write_proc(plan.proc, "oom_score_adj", _OUT_OF_MEMORY_FIRST))
    if plan.tier == "T1":
        folder = root.HOME
        apply("own folder", lambda: _own_folder(plan, own_id, setup["disk_mb"]))
    if plan.proc >= 0:
        os.close(plan.proc)
    os.chdir(folder)
    os.umask(0o077)
    os.environ.update(HOME=folder, TMPDIR=folder)
    tempfile.tempdir = None
    limits = dict(setup["limits"])
    if own_id or plan.tier == "T1":
        limits["NPROC"] = setup["threads"]
    elif plan.tier == "T2":
        limits["NPROC"] = plan.tasks + setup["shared_threads"]
    applied += [f"limit {name}" for name in limit(limits)]
    if plan.calls is None:
        return applied
    calls = plan.calls
    kernel.forget_capabilities()
    if own_id:
        apply("user of its own", lambda: _become(plan.first_id + number % plan.ids))
    kept = 0 if plan.readable or not own_id else 1 << kernel.CAP_DAC_READ_SEARCH
    name = "capability to read files only" if kept else "no capabilities"
    apply(name, lambda: kernel.keep_capabilities(calls.other["capset"], kept))
    if plan.rules >= 0:
        apply("landlock", lambda: landlock.restrict(plan.rules))
        os.close(plan.rules)
    apply("seccomp", lambda: seccomp.confine(calls, own_files=plan.tier == "T1"))
    return applied


def _own_folder(plan: Plan, own_id: bool, megabytes: int) -> None:
    if own_id:
        kernel.unshare(kernel.NEWNS)
    else:
        uid, gid = os.geteuid(), os.getegid()
        # A user namespace each: the kernel counts threads per namespace then.
        kernel.unshare(kernel.NEWUSER | kernel.NEWNS)
        kernel.map_ids(plan.proc, uid, gid, _INNER_ID)
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("tmpfs", root.HOME, "tmpfs", flags, f"size={megabytes}m,nr_inodes=4096,mode=777")


def _become(user: int) -> None:
    kernel.prctl(kernel.PR_SET_KEEPCAPS, 1, what="keep capabilities")
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _quietly(step: Callable[[], None]) -> None:
    try:
        step()
    except OSError:
        return


def raise_own_limits() -> None:
    """As many descriptors as may be had: the server holds some for each session."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
