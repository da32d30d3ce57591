"""How fast near-duplicate images are found among many, and how well their hashes tell copies from other pictures.

`search`: made-up hashes, a tenth of them near-copies. `looks`: reading, verifying, decoding and hashing real files.
`copies`: images saved again in many ways, and pairs of different images.

usage: python benchmarks/curation.py search [--images 100000]
       python benchmarks/curation.py looks FOLDER
       python benchmarks/curation.py copies [FOLDER ...] [--boards 250] [--tiles]
"""

from __future__ import annotations

import argparse
import io
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from evalkit.content import find_tasks, open_task
from evalkit.curation import duplicates, leakage
from evalkit.curation.fingerprints import Fingerprint, fingerprint
from evalkit.curation.images import Viewer
from evalkit.curation.neighbours import Neighbours, leaders
from evalkit.curation.wording import WordIndex
from evalkit.images import ImageFile

T = TypeVar("T")
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
BYTES = 32
TILE = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True, dest="verb")
    search = verbs.add_parser("search")
    search.add_argument("--images", type=int, default=100_000)
    looks = verbs.add_parser("looks")
    looks.add_argument("folder", type=Path)
    copies = verbs.add_parser("copies")
    copies.add_argument("folders", type=Path, nargs="*")
    copies.add_argument("--boards", type=int, default=250)
    copies.add_argument("--tiles", action="store_true", help="parts of the folders' images in place of the images")
    options = parser.parse_args()
    if options.verb == "search":
        measure_search(options.images)
    elif options.verb == "looks":
        measure_looks(files(options.folder))
    else:
        for folder in options.folders:
            measure_copies(folder.name, list(tiles(folder) if options.tiles else opened(folder)))
        if not options.tiles and options.boards:
            measure_copies("boards", list(boards(options.boards)))


def measure_search(count: int) -> None:
    draw = np.random.default_rng(0)
    codes = [code.tobytes() for code in draw.integers(0, 256, (count, BYTES), dtype=np.uint8)]
    for place in range(0, count, 10):
        bits = np.unpackbits(np.frombuffer(codes[place], np.uint8))
        bits[draw.choice(len(bits), 8, replace=False)] ^= 1
        codes[count - 1 - place] = np.packbits(bits).tobytes()
    memory = peak()
    found = timed(f"near-duplicates among {count:,} images", lambda: leaders(codes, duplicates.RADIUS))
    print(f"{'':10}{sum(place != leader for place, leader in enumerate(found)):,} copies")
    known = codes[:2000]
    near = timed(f"2,000 pictures of benchmarks in {count:,}", lambda: Neighbours(known, leakage.RADIUS).near(codes))
    print(f"{'':10}{len(near.query):,} pairs; at most {peak() - memory:,.0f} MB more than before")
    words = np.array([f"w{i}" for i in range(5000)])
    texts = [tuple(draw.choice(words, 20)) for _ in range(2000)]
    index = WordIndex(texts)
    rows = [tuple(draw.choice(words, 40)) if i % 10 else texts[i % 2000] for i in range(count)]
    hits = timed(f"2,000 questions in {count:,} texts", lambda: sum(bool(index.find(row)) for row in rows))
    print(f"{'':10}{hits:,} texts repeat one")


def measure_looks(found: Sequence[Path]) -> None:
    size = sum(file.stat().st_size for file in found) / 1e6
    images = [ImageFile.from_path(file) for file in found]
    for threads in (1, None):
        seen = timed(
            f"{len(images):,} images, {size:.0f} MB, {threads or 'all'} threads",
            lambda threads=threads: list(Viewer(threads).look(images)),  # type: ignore[misc]
        )
    print(f"{'':10}{sum(look.flaw is not None for look in seen)} flawed")


def measure_copies(name: str, images: Sequence[Image.Image]) -> None:
    hashed = [(image, mark) for image in images if (mark := fingerprint(image)) is not None]
    print(f"{name}: {len(images)} images, {len(images) - len(hashed)} of them plain")
    print(f"  {'copy':28}{'median':>8}{'90 %':>8}{'most':>8}{'duplicate':>12}{'leak':>8}")
    for label, change in CHANGES.items():
        distances = [apart(mark, fingerprint(change(image)), mirrored=label == "mirrored") for image, mark in hashed]
        middle, most, all_ = np.percentile(distances, [50, 90, 100])
        twice, leaked = (np.mean([d <= radius for d in distances]) for radius in (duplicates.RADIUS, leakage.RADIUS))
        print(f"  {label:28}{middle:8.0f}{most:8.0f}{all_:8.0f}{twice:12.0%}{leaked:8.0%}")
    pairs = [apart(a, b) for (_, a), (_, b) in combinations(hashed, 2)]
    low = sum(d <= duplicates.RADIUS for d in pairs), sum(d <= leakage.RADIUS for d in pairs)
    print(f"  {len(pairs):,} pairs of different files: least {min(pairs)} bits, {low[0]} within the radius of")
    print(f"  duplicates ({duplicates.RADIUS}), {low[1]} within that of leaks ({leakage.RADIUS})")


def apart(a: Fingerprint, b: Fingerprint | None, mirrored: bool = False) -> int:
    if b is None:
        return BYTES * 8
    code = b.mirrored if mirrored else b.code
    return (int.from_bytes(a.code, "big") ^ int.from_bytes(code, "big")).bit_count()


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))))


def cut(image: Image.Image, share: float) -> Image.Image:
    x, y = round(image.width * share), round(image.height * share)
    return image.crop((x, y, image.width - x, image.height - y))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 90": lambda image: jpeg(image, 90),
    "JPEG, quality 30": lambda image: jpeg(image, 30),
    "half size": lambda image: scaled(image, 0.5),
    "quarter size": lambda image: scaled(image, 0.25),
    "1.5 times, JPEG quality 60": lambda image: jpeg(scaled(image, 1.5), 60),
    "square of 448 pixels": lambda image: image.resize((448, 448)),
    "grey": lambda image: image.convert("L"),
    "a fifth brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "mirrored": ImageOps.mirror,
    "1 % cut off at each side": lambda image: cut(image, 0.01),
    "2 % cut off at each side": lambda image: cut(image, 0.02),
    "5 % cut off at each side": lambda image: cut(image, 0.05),
    "white border of 5 %": lambda image: ImageOps.expand(image, round(max(image.size) * 0.05), "white"),
}


def files(folder: Path) -> list[Path]:
    """The images below a folder, each content once."""
    found: dict[bytes, Path] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in SUFFIXES:
            found.setdefault(file.read_bytes(), file)
    return list(found.values())


def opened(folder: Path) -> Iterator[Image.Image]:
    for file in files(folder):
        with Image.open(file) as image:
            yield ImageOps.exif_transpose(image).convert("RGB")


def tiles(folder: Path) -> Iterator[Image.Image]:
    """Parts of the images side by side: pictures that are like each other and not the same."""
    for image in opened(folder):
        for left in range(0, image.width - TILE + 1, TILE):
            for top in range(0, image.height - TILE + 1, TILE):
                yield image.crop((left, top, left + TILE, top + TILE))


def boards(count: int) -> Iterator[Image.Image]:
    task = open_task(find_tasks()["panel_probe"], options={"boards": str(count), "questions": "1"})
    for sample in task.samples():
        yield sample.images[0].open().convert("RGB")


def timed(label: str, work: Callable[[], T]) -> T:
    began = time.perf_counter()
    result = work()
    print(f"{time.perf_counter() - began:8.2f} s  {label}")
    return result


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    main()
