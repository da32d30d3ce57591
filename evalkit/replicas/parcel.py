"""A job on its way to a replica, and what comes back; images go once, under their content's digest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from evalkit.errors import DataError
from evalkit.images import ImageFile, ImageHeader
from evalkit.records import Sample, Trajectory
from evalkit.replicas.frame import encode, pack, unpack
from evalkit.runs.arms import Job
from evalkit.search import Line

_LARGE = 1 << 20
_NOTHING = msgspec.Raw(b"null")


class JobSent(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it is sent; see `Job`.

    Attributes:
        names: of its images, by digest, for messages.
    """

    sample: Sample
    arm: str
    repeat: int
    cut: Trajectory | None
    names: dict[str, str]


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What a replica must have before it can read the rest.

    Attributes:
        images: digests of all images that the job names.
        blobs: those of them that come with it, in order.
        job: a `JobSent`.
    """

    images: tuple[str, ...]
    blobs: tuple[str, ...]
    job: msgspec.Raw


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of a job.

    Attributes:
        now: the replica's clock when it was sent.
        trajectory: the result, a `Trajectory`.
        lines: searches that were made for it, a list of `Line`.
        images: digests of the images that come with it, in order.
        lacking: digests of images that must be sent first.
        gone: why no trajectory can succeed here any more.
        failed: why the whole run must end.

    With one of the last three there is no trajectory.
    """

    now: float
    trajectory: msgspec.Raw = _NOTHING
    lines: msgspec.Raw = _NOTHING
    images: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    gone: str = ""
    failed: str = ""


class Parcel:
    """A job, packed.

    Args:
        job: what is to run.

    Attributes:
        images: by digest.

    Raises:
        DataError: an image of it cannot be read.
    """

    def __init__(self, job: Job) -> None:
        self.images = {image.header.sha256: image for image in _images_of(job)}
        names = {digest: image.name for digest, image in self.images.items()}
        sent = JobSent(sample=job.sample, arm=job.arm, repeat=job.repeat, cut=job.cut, names=names)
        self._job = encode(sent)

    def frame(self, blobs: Mapping[str, bytes] | None = None) -> bytes:
        """What is sent, with the bytes of those images that go with it."""
        blobs = blobs or {}
        envelope = Envelope(images=tuple(self.images), blobs=tuple(blobs), job=msgspec.Raw(self._job))
        return pack(encode(envelope), list(blobs.values()))

    def _image(self, header: ImageHeader, came: Mapping[str, bytes]) -> ImageFile:
        own = self.images.get(header.sha256)
        return own if own is not None else ImageFile.from_bytes(came[header.sha256], header=header)

    def opened(self, reply: Reply, blobs: list[memoryview]) -> tuple[Trajectory, list[Line]]:
        """The trajectory and the searches that came back, with times on this machine's clock.

        Raises:
            msgspec.MsgspecError: it is not what it should be.
        """
        came = {digest: bytes(blob) for digest, blob in zip(reply.images, blobs, strict=True)}
        decode = reader(lambda header: self._image(header, came))
        trajectory: Trajectory = decode(reply.trajectory, Trajectory)
        lines: list[Line] = decode(reply.lines, list[Line])
        # clocks of machines differ, and an answer must not look older than the trajectory that it cuts
        ahead = reply.now - time.time()
        if trajectory.started_at is not None:
            trajectory = msgspec.structs.replace(trajectory, started_at=trajectory.started_at - ahead)
        return trajectory, [msgspec.structs.replace(line, at=line.at - ahead) for line in lines]


async def packed(job: Job) -> Parcel:
    """A job, packed; large images are read off the event loop.

    Raises:
        DataError: an image of it cannot be read.
    """
    for image in _images_of(job):
        await image.inspect()
    return Parcel(job)


async def content(image: ImageFile) -> bytes:
    """The bytes of an image.

    Raises:
        DataError: they cannot be read, or are no longer what they were.
    """
    small = image.header.size < _LARGE
    data = image.read() if small else await asyncio.to_thread(image.read)
    if len(data) != image.header.size:
        raise DataError(f"image {image.name} changed during the run")
    return data


def job_of(sent: JobSent) -> Job:
    """The job, as it was before it was sent."""
    return Job(sent.sample, sent.arm, sent.repeat, sent.cut)


def answered(trajectory: Trajectory, lines: list[Line], known: Iterable[str]) -> bytes:
    """The frame of a trajectory, with the images that the other side has not.

    Args:
        trajectory: what came of the job.
        lines: searches that were made for it.
        known: digests of the job's own images.
    """
    found = [image for turn in trajectory.turns for seen in turn.observations for image in seen.images]
    found += [hit.thumbnail for line in lines for hit in line.hits if hit.thumbnail is not None]
    own = set(known)
    new = {image.header.sha256: image for image in found if image.header.sha256 not in own}
    reply = Reply(
        now=time.time(),
        trajectory=msgspec.Raw(encode(trajectory)),
        lines=msgspec.Raw(encode(lines)),
        images=tuple(new),
    )
    return pack(encode(reply), [image.read() for image in new.values()])


def replied(frame: bytes) -> tuple[Reply, list[memoryview]]:
    """The reply in a frame, and its images."""
    head, blobs = unpack(frame)
    return msgspec.json.decode(head, type=Reply), blobs


def reader(find: Callable[[ImageHeader], ImageFile]) -> Callable[[Any, Any], Any]:
    """A decoder of JSON in which images stand as their headers.

    Args:
        find: the image with a header.
    """

    def hook(kind: type, value: Any) -> Any:
        if kind is not ImageFile:
            raise NotImplementedError(f"cannot read a {kind.__name__}")
        return find(msgspec.convert(value, ImageHeader))

    return lambda data, kind: msgspec.json.decode(data, type=kind, dec_hook=hook)


def _images_of(job: Job) -> Iterable[ImageFile]:
    yield from job.sample.images
    for turn in job.cut.turns if job.cut is not None else ():
        for observation in turn.observations:
            yield from observation.images
