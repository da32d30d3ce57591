"""The system call filter: what is not listed is refused."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from errno import ENOSYS, EPERM
from struct import pack
from typing import NamedTuple

from . import kernel
from .syscalls import LAST, Calls

_KILL = 0x80000000
_ERRNO = 0x50000
_ALLOW = 0x7FFF0000

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _ABOVE, _AT_LEAST = 0x15, 0x25, 0x35
_NUMBER, _AUDIT, _ARGUMENTS = 0, 4, 16
_ALL = 0xFFFFFFFF

_CLONE_THREAD = 0x10000
_CLONE_NAMESPACES = 0x7E020000
# PR_GET_DUMPABLE, PR_SET_NAME, PR_GET_NAME, PR_SET_VMA
_PRCTL = (3, 15, 16, 0x53564D41)
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY: all of them make the kernel send signals.
_FCNTL = (8, 10, 15, 1024, 1026)


class Condition(NamedTuple):
    """Allows a call by one of its arguments.

    Attributes:
        word: which 32 bits: twice the argument's index, plus one for the upper half.
        values: what they may be, after `mask`.
        mask: applied first.
        inverse: they may be anything but the values.
    """

    word: int
    values: tuple[int, ...]
    mask: int = _ALL
    inverse: bool = False


def conditions(pid: int) -> dict[str, tuple[Condition, ...]]:
    """Calls that are allowed with some arguments only: threads but no processes, signals to itself."""
    return {
        "clone": (Condition(0, (_CLONE_THREAD,), _CLONE_THREAD | _CLONE_NAMESPACES),),
        "prlimit64": (Condition(0, (0,)),),
        "kill": (Condition(0, (pid,)),),
        "tgkill": (Condition(0, (pid,)),),
        "prctl": (Condition(0, _PRCTL),),
        "ioctl": (Condition(2, _IOCTL),),
        "fcntl": (Condition(2, _FCNTL, inverse=True),),
        # Connected pairs of streams, as event loops use them: neither end can be connected to anything else.
        "socketpair": (Condition(0, (1,)), Condition(2, (1,), 0xF)),
        "sendto": (Condition(8, (0,)), Condition(9, (0,))),
    }


def program(calls: Calls, pid: int, own_files: bool) -> bytes:
    """The filter as BPF instructions.

    Args:
        calls: the machine's.
        pid: of the process that will run under the filter.
        own_files: whether all files that it may write are its own.
    """
    code = [_load(_AUDIT), _jump(_EQUAL, calls.audit, 1, 0), _end(_KILL)]
    code += [_load(_NUMBER), _jump(_ABOVE, LAST, 0, 1), _end(_ERRNO | ENOSYS)]
    # The C library falls back to `clone`, whose flags a filter can see.
    code += [_jump(_EQUAL, calls.other["clone3"], 0, 1), _end(_ERRNO | ENOSYS)]
    for name, wanted in conditions(pid).items():
        block = [part for condition in wanted for part in _checked(condition)] + [_end(_ALLOW)]
        code += [_jump(_EQUAL, calls.other[name], 0, len(block)), *block]
    allowed = [*calls.safe.values(), *(calls.attributes.values() if own_files else ())]
    for low, high in _ranges(allowed):
        code += [_jump(_AT_LEAST, low, 0, 2), _jump(_ABOVE, high, 1, 0), _end(_ALLOW)]
    return b"".join([*code, _end(_ERRNO | EPERM)])


def install(code: bytes) -> None:
    """Put this thread, and those it starts, under a filter for good. Needs no privilege.

    Raises:
        OSError: the kernel takes no filters.
    """

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    buffer = ctypes.create_string_buffer(code, len(code))
    filtered = Program(len(code) // 8, ctypes.addressof(buffer))
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1, what="no_new_privs")
    kernel.prctl(kernel.PR_SET_SECCOMP, 2, ctypes.byref(filtered), what="seccomp")


def confine(calls: Calls, own_files: bool) -> None:
    """Install the filter for this process."""
    install(program(calls, os.getpid(), own_files))


def _checked(condition: Condition) -> list[bytes]:
    parts = [_load(_ARGUMENTS + 4 * condition.word)]
    if condition.mask != _ALL:
        parts.append(_jump(_AND, condition.mask, 0, 0))
    if condition.inverse:
        refused = _end(_ERRNO | EPERM)
        return parts + [part for value in condition.values for part in (_jump(_EQUAL, value, 0, 1), refused)]
    left = len(condition.values)
    for value in condition.values:
        parts.append(_jump(_EQUAL, value, left, 0))
        left -= 1
    return [*parts, _end(_ERRNO | EPERM)]


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _load(offset: int) -> bytes:
    return pack("=HBBI", _LOAD, 0, 0, offset)


def _jump(code: int, value: int, yes: int, no: int) -> bytes:
    return pack("=HBBI", code, yes, no, value)


def _end(value: int) -> bytes:
    return pack("=HBBI", _RETURN, 0, 0, value)
