"""Draw small pictures, all of them different: `load_pictures.py FOLDER COUNT`, for benchmarks/load.py."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw


def main(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        picture = Image.new("RGB", (224, 160), (number % 256, number // 256 % 256, 120))
        ImageDraw.Draw(picture).rectangle((20, 20, 20 + number % 150, 90), fill=(240, 240, 240))
        picture.save(folder / f"{number:06d}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
