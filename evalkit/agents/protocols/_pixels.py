"""Images resized before they are shown, as the Qwen-VL families take them."""

from __future__ import annotations

from evalkit.engines.pixels import PixelBudget, smart_resize
from evalkit.images import ImageFile


def fit_image(image: ImageFile, budget: PixelBudget) -> ImageFile | None:
    """`image` in the size that `smart_resize` says, or as it is when that is its size; None when it cannot be shown."""
    header = image.header
    size = smart_resize(header.width, header.height, budget)
    if size is None or size == (header.width, header.height):
        return None if size is None else image
    from PIL import Image

    pixels = image.open()
    if pixels.mode not in ("RGB", "RGBA", "L"):
        pixels = pixels.convert("RGB")
    return ImageFile.from_pil(pixels.resize(size, Image.Resampling.BICUBIC), image.name)
