"""A root folder of its own: an empty file system in memory, with what Python needs bound into it read-only."""

from __future__ import annotations

import os
from collections.abc import Iterable

from . import kernel

HOME = "/home/session"
"""Where a session may write: a file system of its own is mounted there."""
SETTINGS = "/var/settings"
"""Matplotlib's folder: each server mounts and fills its own, read-only for the sessions."""
DEVICES = ("null", "zero", "random", "urandom")

_SIZE = "size=32m,mode=755"


def build(folder: str, reads: Iterable[str], hidden: Iterable[str]) -> None:
    """Build the new root on `folder`, in a mount namespace of its own.

    Args:
        folder: an empty one.
        reads: what is bound; what does not exist is left out.
        hidden: folders below them that appear empty.

    Raises:
        OSError: a mount is refused.
    """
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", folder, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, _SIZE)
    bound: list[str] = []
    for path in sorted({real for path in reads if (real := _place(folder, path))}):
        if not any(path.startswith(f"{outer}/") for outer in bound):
            _bind(folder, path)
            bound.append(path)
    for path in sorted({os.path.realpath(path) for path in hidden}):
        if os.path.isdir(folder + path):
            kernel.mount("tmpfs", folder + path, "tmpfs", kernel.MS_RDONLY, "size=4k,mode=755")
    for name in DEVICES:
        _bind(folder, f"/dev/{name}", read_only=False)
    for path in (HOME, SETTINGS):
        os.makedirs(folder + path, exist_ok=True)
    if not os.path.lexists(f"{folder}/tmp"):
        os.symlink(HOME[1:], f"{folder}/tmp")


def enter(folder: str, pivot_root: int) -> None:
    """Make `folder` the root; `pivot_root` is the system call's number."""
    kernel.pivot_root(pivot_root, folder)


def open_settings() -> None:
    """Mount a folder that this process may fill, in a mount namespace of its own."""
    kernel.unshare(kernel.NEWNS, "mount namespace of the server")
    kernel.mount("tmpfs", SETTINGS, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC, "size=32m,mode=755")


def close(path: str) -> None:
    """Make a mount read-only, but not those in it."""
    flags = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount(None, path, None, flags | kernel.MS_NOEXEC if path == SETTINGS else flags)


def _place(folder: str, path: str) -> str:
    """Make the links on the way to `path` in the new root too; where it really is, "" if nowhere."""
    if not os.path.exists(path):
        return ""
    at, todo, hops = "/", path.split("/")[::-1], 0
    while todo:
        name = todo.pop()
        step = os.path.normpath(os.path.join(at, name))
        if not name or not os.path.islink(step):
            at = step
            continue
        hops += 1
        target = os.readlink(step)
        if hops > 40:
            return ""
        if not os.path.lexists(folder + step):
            os.makedirs(folder + os.path.dirname(step), exist_ok=True)
            os.symlink(target, folder + step)
        todo += target.split("/")[::-1]
        at = "/" if target.startswith("/") else os.path.dirname(step)
    return at


def _bind(folder: str, path: str, read_only: bool = True) -> None:
    target = folder + path
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    kernel.mount(path, target, None, kernel.MS_BIND | kernel.MS_REC)
    if read_only:
        kernel.mount_read_only(target)
