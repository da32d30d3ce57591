"""The images of one trajectory in the order in which the model saw them, and what is recorded of each."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.images import ImageFile
from evalkit.records import Record, Shown
from evalkit.reporting.trajectories.album import key_of
from evalkit.reporting.trajectories.detail import Image

MOST = 40
"""Images of one trajectory; further ones are counted."""


class Conversation:
    """A record's images by place: the sample's first, then those of the observations.

    Attributes:
        own: how many are the sample's.
        files: in order, at most `MOST`.
        left: images beyond them.
    """

    def __init__(self, record: Record) -> None:
        given = [image for _, _, image in _observed(record)]
        files = [*record.sample.images, *given]
        self.own = min(len(record.sample.images), MOST)
        self.files: list[ImageFile] = files[:MOST]
        self.left = len(files) - len(self.files)
        self._shown = _shown(record, len(record.sample.images), len(given))
        self._places: dict[tuple[int, int], list[int]] = {}
        for place, (turn, observation, _) in enumerate(_observed(record), len(record.sample.images)):
            if place < MOST:
                self._places.setdefault((turn, observation), []).append(place)

    def places(self, turn: int, observation: int) -> tuple[int, ...]:
        """The places of the images of one observation."""
        return tuple(self._places.get((turn, observation), ()))

    def shown(self, place: int) -> Shown | None:
        """What is recorded of the image at a place."""
        return self._shown[place]

    def images(self) -> tuple[Image, ...]:
        """As the page shows them."""
        return tuple(_image(file, self._shown[place]) for place, file in enumerate(self.files))


def _observed(record: Record) -> Iterator[tuple[int, int, ImageFile]]:
    for turn, step in enumerate(record.trajectory.turns):
        for place, observation in enumerate(step.observations):
            for image in observation.images:
                yield turn, place, image


def _shown(record: Record, own: int, given: int) -> list[Shown | None]:
    """What is recorded of each image; nothing at all where the counts do not fit."""
    turns = record.trajectory.turns
    seen: list[Shown | None] = [entry for turn in turns for entry in turn.shown]
    # what the last turn's calls gave has not come before the model
    unseen = sum(len(observation.images) for observation in turns[-1].observations) if turns else own
    if len(seen) + unseen != own + given:
        return [None] * (own + given)
    return [*seen, *[None] * unseen]


def _image(file: ImageFile, shown: Shown | None) -> Image:
    header = file.header
    image = Image(picture=key_of(file), width=header.width, height=header.height)
    if shown is None:
        return image
    return Image(
        picture=image.picture,
        width=image.width,
        height=image.height,
        shown_width=shown.shown_width,
        shown_height=shown.shown_height,
        tokens=shown.tokens,
    )
