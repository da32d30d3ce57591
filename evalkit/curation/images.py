"""Whether the images of a data set can be used at all: each is read, verified, and decoded to its last pixel."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import StrEnum
from itertools import islice

import msgspec

from evalkit.curation.fingerprints import Fingerprint, fingerprint
from evalkit.errors import one_line
from evalkit.images import FORMATS, ChangedImageError, ImageFile

MOST_PIXELS = 178_956_970
"""A larger image is a decompression bomb: Pillow refuses it too."""
_AT_ONCE = 64


Progress = Callable[[str, int], Callable[[], None]]
"""Told what begins and how many rows it has; what it returns is called after each of them."""


def quiet(what: str, rows: int) -> Callable[[], None]:
    """No progress."""
    return lambda: None


class Flaw(StrEnum):
    """Why an image cannot be used."""

    MISSING = "image_missing"
    """The file is gone, or cannot be read."""
    CHANGED = "image_changed"
    """It is there, and not the one that was recorded."""
    TRUNCATED = "image_truncated"
    UNDECODABLE = "image_undecodable"
    BOMB = "image_bomb"
    """It claims so many pixels that decoding would take gigabytes."""


class Look(msgspec.Struct, frozen=True):
    """What is known of an image when it has been looked at.

    Attributes:
        sha256: of its bytes, in hex; empty where they are missing.
        flaw: why it cannot be used; None for a good image.
        detail: the flaw in one line.
        fingerprint: None for a plain image, which looks like any other one, and for one with a flaw.
    """

    sha256: str
    flaw: Flaw | None = None
    detail: str = ""
    fingerprint: Fingerprint | None = None


def look_at(image: ImageFile) -> Look:
    """Read, verify and decode an image.

    A file that was cut and then closed with its format's end mark, and noise within a JPEG's data, decode without an
    error: no decoder can tell them from a picture.
    """
    return next(Viewer(1).look([image]))


class Viewer:
    """Looks at images, several at once, each content once."""

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads or os.cpu_count() or 1
        self._seen: dict[str, Look] = {}

    def look(self, images: Iterable[ImageFile], done: Callable[[], None] = lambda: None) -> Iterator[Look]:
        """The images' looks, in order; a few dozen images are held at a time.

        Args:
            images: read when their turn comes.
            done: called for each look that is given.
        """
        pending = iter(images)
        with ThreadPoolExecutor(self._threads, "evalkit-look") as pool:
            while batch := list(islice(pending, _AT_ONCE)):
                with _large_images():
                    looks = list(pool.map(self._look, batch))
                for look in looks:
                    done()
                    yield look

    def _look(self, image: ImageFile) -> Look:
        known = image.known
        if known is not None and known.sha256 in self._seen:
            return self._seen[known.sha256]
        digest = ""
        try:
            data = _read(image)
            digest = hashlib.sha256(data).hexdigest()
            if known is not None and known.sha256 != digest:
                raise _FlawedError(Flaw.CHANGED, "it is not the one that was recorded")
            if digest not in self._seen:
                self._seen[digest] = Look(digest, fingerprint=_decoded(data))
            return self._seen[digest]
        except _FlawedError as error:
            return Look(digest, error.flaw, f"image {image.name}: {error}")


class _FlawedError(Exception):
    def __init__(self, flaw: Flaw, why: str) -> None:
        super().__init__(why)
        self.flaw = flaw


@contextmanager
def _large_images() -> Iterator[None]:
    """Without Pillow's warning of large images: what is too large is said in its own words."""
    from PIL.Image import DecompressionBombWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DecompressionBombWarning)
        yield


def _read(image: ImageFile) -> bytes:
    try:
        return image.read()
    except ChangedImageError as error:
        raise _FlawedError(Flaw.CHANGED, "it is not the one that was recorded") from error
    except Exception as error:
        # a task that makes its images may stumble over anything
        raise _FlawedError(Flaw.MISSING, one_line(error)) from error


def _decoded(data: bytes) -> Fingerprint | None:
    from PIL import Image

    if not data:
        raise _FlawedError(Flaw.TRUNCATED, "it is empty")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise Image.DecompressionBombError(f"it claims {width:,} x {height:,} pixels")
            image.verify()
        # after verify the file must be opened anew
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.load()
            return fingerprint(image)
    except Image.DecompressionBombError as error:
        raise _FlawedError(Flaw.BOMB, one_line(error)) from error
    except Exception as error:
        # format plugins raise whatever they stumble over
        cut = "truncated" in str(error).lower() or isinstance(error, EOFError)
        flaw = Flaw.TRUNCATED if cut else Flaw.UNDECODABLE
        raise _FlawedError(flaw, one_line(error) or type(error).__name__) from error
