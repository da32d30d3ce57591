"""A session's images, in one file in memory that nobody can change."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence

from evalkit.images import ImageFile

# fcntl.F_ADD_SEALS and all four seals have names only from Python 3.12 on some systems.
_ADD_SEALS, _ALL_SEALS = 1033, 0xF


def sealed(images: Sequence[ImageFile]) -> tuple[int, list[tuple[int, int]]]:
    """A descriptor of the images' encoded bytes, one after the other, and offset and length of each.

    Raises:
        DataError: an image cannot be read.
        OSError: there is no memory or descriptor left.
    """
    places: list[tuple[int, int]] = []
    at = 0
    fd = os.memfd_create("images", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        for image in images:
            size = written(fd, image.read())
            places.append((at, size))
            at += size
        seal(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd, places


def written(fd: int, data: bytes) -> int:
    """Write all of `data`; its length.

    Raises:
        OSError: there is no memory left.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    return len(data)


def seal(fd: int) -> None:
    """Let nobody change the file any more."""
    fcntl.fcntl(fd, _ADD_SEALS, _ALL_SEALS)
