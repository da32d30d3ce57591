"""Pictures whose pixels are all different, and agents that zoom into them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from evalkit import ImageFile, Sample
from evalkit.agents import Limits
from evalkit.agents.protocols import Protocol
from evalkit.records import Trajectory
from evalkit.tools import ZoomTool
from tests.agents import Model, ran


def chart(width: int, height: int) -> ImageFile:
    """A picture in which a pixel's colour says where it is."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([x % 256, y % 256, (x // 256) * 16 + y // 256], axis=-1).astype(np.uint8)
    return ImageFile.from_pil(Image.fromarray(pixels), f"chart {width}x{height}")


def same(image: ImageFile, expected: Image.Image) -> bool:
    """Whether both have the same pixels."""
    return np.array_equal(np.asarray(image.open().convert("RGB")), np.asarray(expected.convert("RGB")))


async def zoomed(protocol: Protocol, model: Model, *images: ImageFile, limits: Limits | None = None) -> Trajectory:
    """One trajectory of an agent that has its family's zoom tool alone."""
    assert protocol.zoom is not None
    sample = Sample(id="s", question="what?", images=images)
    return await ran(protocol, model, ZoomTool(protocol.zoom), sample=sample, limits=limits)


def only_image(trajectory: Trajectory, turn: int = 0) -> ImageFile:
    """The one image that came back after a turn."""
    (image,) = (image for observed in trajectory.turns[turn].observations for image in observed.images)
    return image
