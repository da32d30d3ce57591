"""A perceptual hash of an image: 256 bits that hardly change when it is saved again, in another size or quality.

The greys of the image are brought to 64 x 64 pixels; of their cosine transform the 16 x 16 lowest frequencies are
kept, one bit each: whether it is above the median. Source: C. Zauner, Implementation and Benchmarking of Perceptual
Image Hash Functions (2010), section 3.2.1; the bits are those of `imagehash.phash(image, hash_size=16)`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

SIDE = 16
"""Frequencies kept in each direction."""
BITS = SIDE * SIDE
PLAIN = 2.0
"""An image whose greys have a smaller standard deviation (of 255 levels) has no hash: all plain images look alike."""
_SAMPLED = 4 * SIDE


class Fingerprint(NamedTuple):
    """The hash of an image, and of the same image seen in a mirror (left and right exchanged): 32 bytes each."""

    code: bytes
    mirrored: bytes


def fingerprint(image: Image) -> Fingerprint | None:
    """The hash of a decoded image as it is meant to be seen: upright, on white. None for a plain image.

    Args:
        image: turned upright by its EXIF tag here; what is transparent is laid on white.
    """
    import numpy as np
    from PIL import ImageOps
    from PIL.Image import Resampling

    small = _grey(image).resize((_SAMPLED, _SAMPLED), Resampling.LANCZOS)
    # turned when it is small; what tells how is kept by the steps before
    greys = np.asarray(ImageOps.exif_transpose(small), dtype=np.float64)
    if greys.std() < PLAIN:
        return None
    cosines = _cosines()
    low = cosines @ greys @ cosines.T
    # in a mirror the cosines of odd horizontal frequency change their sign, and nothing else does
    signs = np.where(np.arange(SIDE) % 2, -1.0, 1.0)
    return Fingerprint(_bits(low), _bits(low * signs))


@cache
def _cosines() -> NDArray[np.float64]:
    """The lowest rows of the discrete cosine transform (type II) of `_SAMPLED` values."""
    import numpy as np

    places = 2 * np.arange(_SAMPLED) + 1
    cosines: NDArray[np.float64] = np.cos(np.pi / (2 * _SAMPLED) * np.outer(np.arange(SIDE), places))
    return cosines


def _bits(low: NDArray[np.float64]) -> bytes:
    import numpy as np

    return np.packbits(low > np.median(low)).tobytes()


def _grey(image: Image) -> Image:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        from PIL import Image as pil

        coloured = image.convert("RGBA")
        return pil.alpha_composite(pil.new("RGBA", image.size, "white"), coloured).convert("L")
    return image.convert("L")
