"""Pictures drawn from a seed: unlike one another, and rich enough for a perceptual hash."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from evalkit.images import ImageFile


def picture(seed: int, size: tuple[int, int] = (240, 180)) -> Image.Image:
    """Soft patches of colour."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """The bytes of its file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def image_file(image: Image.Image, name: str = "picture", form: str = "PNG", **options: object) -> ImageFile:
    """The picture as a sample has it."""
    return ImageFile.from_bytes(encoded(image, form, **options), name)
