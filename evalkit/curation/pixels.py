"""Whether a recorded image is the one that code really gives: by pixels, with a tolerance.

Images that were kept without loss may differ by 8 of 255 levels in every channel of every pixel: other versions of a
library round otherwise. Where one is a JPEG or a WebP file, the mean brightness of squares of 8 x 8 pixels and the mean
colours of squares of 16 x 16 may differ by 6 levels: these formats keep such means and nothing finer.

Measured on 150 figures of WeMath, 40 boards of panel_probe and a photograph: encoded anew as JPEG of quality 85 to 95,
all are the same; of quality 75, one in twenty figures is not. Of a single thin character painted into a board and
saved as JPEG, half are not seen: what is lost in encoding cannot be compared.
"""

from __future__ import annotations

from evalkit.images import ImageFile

LEVELS = 8
"""By how much a channel of a pixel may differ."""
LOSSY_LEVELS = 6
"""By how much the mean of a square may differ."""
_LOSSY = ("image/jpeg", "image/webp")


def same_image(recorded: ImageFile, real: ImageFile) -> bool:
    """Whether both show the same.

    Raises:
        DataError: one cannot be decoded.
    """
    a, b = recorded.header, real.header
    if a.sha256 == b.sha256:
        return True
    if (a.width, a.height) != (b.width, b.height):
        return False
    if a.mime in _LOSSY or b.mime in _LOSSY:
        return mean_difference(recorded, real) <= LOSSY_LEVELS
    return pixel_difference(recorded, real) <= LEVELS


def pixel_difference(a: ImageFile, b: ImageFile) -> int:
    """The largest difference between two images of a size, in levels of 255, over all pixels and channels.

    Raises:
        DataError: one cannot be decoded.
    """
    import numpy as np
    from PIL import ImageChops

    return int(np.asarray(ImageChops.difference(*(image.open().convert("RGBA") for image in (a, b)))).max())


def mean_difference(a: ImageFile, b: ImageFile) -> int:
    """The largest difference between the means of squares of two images of a size, in levels of 255.

    Brightness in squares of 8 x 8 pixels, both channels of colour (YCbCr) in squares of 16 x 16.

    Raises:
        DataError: one cannot be decoded.
    """
    import numpy as np
    from PIL import ImageChops

    images = [image.open().convert("RGB").convert("YCbCr") for image in (a, b)]
    bright, coloured = (
        np.asarray(ImageChops.difference(*(image.reduce(side) for image in images))) for side in (8, 16)
    )
    return int(max(bright[..., 0].max(), coloured[..., 1:].max()))
