"""A folder of images by content, each stored once."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from evalkit.errors import DataError, InfrastructureError
from evalkit.images import ImageFile


class ImageFolder:
    """Images under their content's digest, written by one process at a time.

    Args:
        folder: made where it is not there.

    Raises:
        InfrastructureError: it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(exist_ok=True)
            with os.scandir(folder) as entries:
                self._saved = {entry.name: entry.stat().st_size for entry in entries}
        except OSError as error:
            raise InfrastructureError(f"cannot write {folder}: {error.strerror}") from error

    def save(self, image: ImageFile) -> None:
        """Store an image that is not there yet.

        Raises:
            DataError: it cannot be read, or has changed since it was first looked at.
            InfrastructureError: the disk is full or gone.
        """
        header = image.header
        name = header.filename
        if self._saved.get(name) == header.size:
            return
        data = image.read()
        if len(data) != header.size:
            raise DataError(f"image {image.name} changed during the run")
        # a file that a killed process left unfinished has another size, and no line names it yet
        try:
            with open(f"{self._folder}/{name}", "wb", buffering=0) as file:
                if file.write(data) != header.size:
                    raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise InfrastructureError(
                f"cannot write {self._folder / name}: {error.strerror}; "
                "finished trajectories are safe, free space and run again"
            ) from error
        self._saved[name] = header.size
