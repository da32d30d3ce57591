"""System calls that Python 3.11 has no function for. Every failure is an OSError that names the call."""

from __future__ import annotations

import ctypes
import os
from typing import Any

NEWNS = 0x20000
NEWUTS = 0x4000000
NEWIPC = 0x8000000
NEWUSER = 0x10000000
NEWPID = 0x20000000
NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
_DETACH = 2

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
_AMBIENT_CLEAR = 4

CAP_DAC_READ_SEARCH = 2
_CAP_VERSION = 0x20080522

MOUNT_SETATTR = 442
_AT_RECURSIVE = 0x8000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def check(result: int, what: str) -> int:
    """`result`, unless the call failed.

    Raises:
        OSError: it did.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(number: int, *arguments: Any, what: str) -> int:
    """A system call by its number; integers are passed as longs."""
    longs = (ctypes.c_long(value) if isinstance(value, int) else value for value in arguments)
    return check(_libc.syscall(ctypes.c_long(number), *longs), what)


def prctl(option: int, *arguments: Any, what: str = "prctl") -> int:
    """Change something about this process."""
    longs = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in arguments]
    longs += [ctypes.c_ulong(0)] * (4 - len(longs))
    return check(_libc.prctl(option, *longs), what)


def unshare(flags: int, what: str = "unshare") -> None:
    """Leave the namespaces named by `flags` for new ones."""
    check(_libc.unshare(flags), what)


def setns(fd: int, kind: int) -> None:
    """Enter the namespace behind a descriptor."""
    check(_libc.setns(fd, kind), "setns")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Mount a file system, or change a mount."""
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    result = _libc.mount(*texts[:3], ctypes.c_ulong(flags), texts[3])
    check(result, f"mount {target}")


def mount_read_only(target: str) -> None:
    """Make a mount and all mounts below it read-only, without devices or set-uid programs."""
    attributes = (ctypes.c_uint64 * 4)(MS_RDONLY | MS_NOSUID | MS_NODEV, 0, 0, 0)
    path = ctypes.c_char_p(os.fsencode(target))
    try:
        syscall(MOUNT_SETATTR, -100, path, _AT_RECURSIVE, ctypes.byref(attributes), 32, what="mount_setattr")
    except OSError:
        # Before Linux 5.12. A flag that the mount has already must be named again, or a user namespace may not.
        kept = os.statvfs(target).f_flag & MS_NOEXEC
        mount(None, target, None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | kept)


def pivot_root(number: int, folder: str) -> None:
    """Make `folder`, a mount, the root; the old one is gone. `number` is the system call's."""
    os.chdir(folder)
    syscall(number, ctypes.c_char_p(b"."), ctypes.c_char_p(b"."), what="pivot_root")
    check(_libc.umount2(b".", _DETACH), "umount2")
    os.chdir("/")


def set_host_name(name: str) -> None:
    """The name that `uname` tells."""
    check(_libc.sethostname(name.encode(), ctypes.c_size_t(len(name))), "sethostname")


def map_ids(proc: int, uid: int, gid: int, inner: int) -> None:
    """Map one user and one group into a user namespace that was just entered.

    Args:
        proc: descriptor of /proc.
        uid: outside.
        gid: outside.
        inner: what both are inside.
    """
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{inner} {uid} 1"),
        ("gid_map", f"{inner} {gid} 1"),
    ):
        write_proc(proc, name, text)


def write_proc(proc: int, name: str, text: str) -> None:
    """Write to /proc/self/`name`, through a descriptor of /proc."""
    fd = os.open(f"self/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def forget_capabilities() -> None:
    """Make sure that no program could bring capabilities back."""
    prctl(PR_CAP_AMBIENT, _AMBIENT_CLEAR, what="clear ambient capabilities")
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            # Beyond the last one, or there is no right to drop any: then there is nothing to drop.
            break


def keep_capabilities(number: int, kept: int) -> None:
    """Give up every capability but those of the mask `kept`. `number` is the system call capset's."""
    header = (ctypes.c_uint32 * 2)(_CAP_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)
    syscall(number, ctypes.byref(header), ctypes.byref(sets), what="capset")
