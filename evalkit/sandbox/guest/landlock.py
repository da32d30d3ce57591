"""Landlock: which files a process may open, by path (linux: Documentation/userspace-api/landlock.rst)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from struct import pack

from . import kernel

_CREATE, _ADD, _RESTRICT = 444, 445, 446

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE = 1 << 4 | 1 << 5
_MAKE = 1 << 7 | 1 << 8 | 1 << 12
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_FILE = _WRITE_FILE | _READ_FILE | _TRUNCATE

READ = _READ_FILE | _READ_DIR
"""Read files and list folders."""
LIST = _READ_DIR
"""List folders only."""
USE = _READ_FILE | _WRITE_FILE | _TRUNCATE
"""Read and write files that are there."""
OWN = READ | _WRITE_FILE | _REMOVE | _MAKE | _REFER | _TRUNCATE
"""Anything but devices and sockets."""


def version() -> int:
    """The kernel's ABI version.

    Raises:
        OSError: it has no landlock, or it is switched off.
    """
    return kernel.syscall(_CREATE, 0, 0, 1, what="landlock")


def ruleset(rules: Iterable[tuple[str, int]]) -> int:
    """A descriptor of a rule set: nothing may be opened but what the rules name.

    TCP is refused from ABI 4 on, signals and abstract sockets to the outside from ABI 6 on.

    Args:
        rules: path and rights; a path that does not exist is left out.

    Raises:
        OSError: see `version`.
    """
    abi = version()
    # The rights of each version are those of the one before and one more; 4 and 6 brought none for files.
    handled = (1 << 13 + sum(abi >= since for since in (2, 3, 5))) - 1
    attributes = (ctypes.c_uint64 * 3)(handled, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    fd = kernel.syscall(_CREATE, ctypes.byref(attributes), size, 0, what="landlock ruleset")
    try:
        for path, rights in rules:
            _add(fd, path, rights & handled)
    except BaseException:
        os.close(fd)
        raise
    return fd


def restrict(fd: int) -> None:
    """Put this thread, and those it starts, under a rule set for good. Needs no privilege."""
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1, what="no_new_privs")
    kernel.syscall(_RESTRICT, fd, 0, what="landlock restrict")


def without(folder: str, hidden: Iterable[str]) -> list[tuple[str, int]]:
    """Rules that let `folder` be read, except the folders `hidden`, whose files can be seen but not opened."""
    inside = [path for path in hidden if path == folder or path.startswith(folder.rstrip("/") + "/")]
    if not inside:
        return [(folder, READ)]
    if folder in inside:
        return [(folder, LIST)]
    rules = [(folder, LIST)]
    for entry in os.scandir(folder):
        # A link would give away what it points to.
        if not entry.is_symlink():
            rules += without(entry.path, inside)
    return rules


def _add(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        if not os.path.isdir(path):
            rights &= _FILE
        # Rights that this kernel does not know, or none that suit the kind of file.
        if rights:
            rule = ctypes.c_char_p(pack("=Qi", rights, fd))
            kernel.syscall(_ADD, ruleset, 1, rule, 0, what=f"landlock rule for {path}")
    finally:
        os.close(fd)
