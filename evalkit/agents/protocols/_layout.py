"""Where the images of an observation stand in its text."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.engines.base import Part
from evalkit.images import ImageFile
from evalkit.records import Observation


def images_after(observation: Observation, mark: str) -> tuple[Part, ...]:
    """The parts of an observation with its images right behind the first `mark`; behind the text where it has none."""
    head, found, tail = observation.text.partition(mark)
    return _parts(head + found, observation.images, tail)


def images_before(observation: Observation, mark: str) -> tuple[Part, ...]:
    """The parts of an observation with its images right before the last `mark`; behind the text where it has none."""
    head, found, tail = observation.text.rpartition(mark)
    if not found:
        head, tail = tail, ""
    return _parts(head, observation.images, found + tail)


def _parts(head: str, images: Sequence[ImageFile], tail: str) -> tuple[Part, ...]:
    return (*((head,) if head else ()), *images, *((tail,) if tail else ()))
