"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from evalkit.errors import EvalkitError


def write_whole(file: Path, data: bytes) -> None:
    """Write a file so that whoever reads it finds the old one or the new one, never a part.

    A link is followed, an existing file keeps its permissions, and what is no regular file (a pipe) is written as is.

    Raises:
        EvalkitError: it cannot be written there; what was there is untouched.
    """
    try:
        place = file.resolve()
        if place.exists() and not place.is_file():
            if place.is_dir():
                raise EvalkitError(f"{file}: cannot be written: it is a folder; name a file in it")
            place.write_bytes(data)
            return
        mode = place.stat().st_mode & 0o777 if place.exists() else None
        if mode is not None and not os.access(place, os.W_OK):
            raise EvalkitError(f"{file}: cannot be written: it is there and write-protected; name another file")
        _replace(place, data, mode)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EvalkitError(f"{file}: cannot be written: {reason}; name another place or make room there") from error


def _replace(place: Path, data: bytes, mode: int | None) -> None:
    part = place.with_name(f".evalkit-{secrets.token_hex(6)}")
    try:
        # like open(): what others may do with a new file is the user's umask
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as out:
            if mode is not None:
                os.fchmod(out.fileno(), mode)
            out.write(data)
        os.replace(part, place)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
