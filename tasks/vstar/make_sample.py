"""Draws the task's own sample set: `sample/` beside this file, in V*Bench's folder layout.

Scenes and questions were made for evalkit; none comes from the benchmark. Run it with
`python tasks/vstar/make_sample.py` to make the set anew. As in the benchmark the first option is always right.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw

SAMPLE = Path(__file__).resolve().parent / "sample"
WIDTH, HEIGHT = 1200, 900
HORIZON = 330
COLOURS = {
    "red": (200, 40, 36), "blue": (40, 84, 190), "yellow": (236, 200, 44), "green": (40, 140, 66),
    "white": (248, 248, 246), "black": (24, 24, 26), "orange": (232, 126, 34), "purple": (124, 62, 150),
    "pink": (236, 140, 176), "brown": (112, 72, 44), "gray": (128, 130, 132),
}  # fmt: skip
WALLS = [(222, 206, 180), (206, 188, 172), (190, 200, 206), (214, 196, 160)]
ROOFS = [(150, 86, 66), (118, 96, 92), (96, 106, 118)]
LEAVES = [(86, 138, 82), (104, 150, 88), (70, 120, 78)]
CLOTHES = [(88, 98, 128), (128, 102, 98), (98, 124, 108), (148, 140, 116)]
SKIN = (222, 184, 150)

Draw = ImageDraw.ImageDraw
Paint = Callable[[Draw, int, int, int], None]
"""Draws an object of a size with the middle of its foot, or of what it hangs from, at a point."""


def ball(colour: str) -> Paint:
    """A round ball on the ground."""
    return lambda d, x, y, s: d.ellipse((x - s // 2, y - s, x + s // 2, y), fill=COLOURS[colour], outline=(40, 40, 40))


def balloon(colour: str) -> Paint:
    """A balloon, its string hanging down to the point."""

    def paint(d: Draw, x: int, y: int, s: int) -> None:
        d.line((x, y, x, y - s), fill=(90, 90, 90))
        d.ellipse((x - s // 3, y - s, x + s // 3, y - s // 4), fill=COLOURS[colour])

    return paint


def kite(colour: str) -> Paint:
    """A kite with a tail."""

    def paint(d: Draw, x: int, y: int, s: int) -> None:
        d.polygon([(x, y - s), (x + s // 3, y - 2 * s // 3), (x, y - s // 4), (x - s // 3, y - 2 * s // 3)],
                  fill=COLOURS[colour], outline=(40, 40, 40))  # fmt: skip
        d.line((x, y - s // 4, x + s // 6, y), fill=(40, 40, 40))

    return paint


def box(colour: str) -> Paint:
    """A letter box on a post."""

    def paint(d: Draw, x: int, y: int, s: int) -> None:
        d.rectangle((x - 2, y - s // 2, x + 2, y), fill=(70, 60, 50))
        d.rectangle((x - s // 3, y - s, x + s // 3, y - s // 2), fill=COLOURS[colour], outline=(40, 40, 40))

    return paint


def bucket(colour: str) -> Paint:
    """A bucket, wider at the top."""
    return lambda d, x, y, s: d.polygon(
        [(x - s // 2, y - s), (x + s // 2, y - s), (x + s // 3, y), (x - s // 3, y)],
        fill=COLOURS[colour],
        outline=(40, 40, 40),
    )


def umbrella(colour: str) -> Paint:
    """An open umbrella on its stick."""

    def paint(d: Draw, x: int, y: int, s: int) -> None:
        d.line((x, y, x, y - s), fill=(60, 50, 40), width=2)
        d.pieslice((x - s // 2, y - s, x + s // 2, y), 180, 360, fill=COLOURS[colour], outline=(40, 40, 40))

    return paint


def boat(colour: str) -> Paint:
    """A boat with one sail."""

    def paint(d: Draw, x: int, y: int, s: int) -> None:
        d.polygon(
            [(x - s // 2, y - s // 4), (x + s // 2, y - s // 4), (x + s // 3, y), (x - s // 3, y)], fill=(88, 60, 42)
        )
        d.polygon([(x, y - s), (x + s // 3, y - s // 3), (x, y - s // 3)], fill=COLOURS[colour], outline=(40, 40, 40))

    return paint


def dog(colour: str) -> Paint:
    """A dog seen from the side."""

    def paint(d: Draw, x: int, y: int, s: int) -> None:
        fill = COLOURS[colour]
        d.rectangle((x - s // 2, y - 2 * s // 3, x + s // 4, y - s // 3), fill=fill)
        for leg in (x - s // 2, x - s // 3, x + s // 10, x + s // 4 - 2):
            d.rectangle((leg, y - s // 3, leg + 2, y), fill=fill)
        d.rectangle((x + s // 6, y - s, x + s // 2, y - 3 * s // 5), fill=fill)

    return paint


def bench(colour: str) -> Paint:
    """A park bench."""

    def paint(d: Draw, x: int, y: int, s: int) -> None:
        for top in (y - s // 2, y - s // 3):
            d.rectangle((x - s // 2, top, x + s // 2, top + s // 9), fill=COLOURS[colour])
        for leg in (x - s // 3, x + s // 3):
            d.line((leg, y - s // 4, leg, y), fill=(50, 50, 50), width=2)

    return paint


def car(colour: str) -> Paint:
    """A car seen from the side."""

    def paint(d: Draw, x: int, y: int, s: int) -> None:
        d.rectangle((x - s // 2, y - s // 3, x + s // 2, y - s // 8), fill=COLOURS[colour], outline=(40, 40, 40))
        d.rectangle((x - s // 4, y - s // 2, x + s // 4, y - s // 3), fill=COLOURS[colour], outline=(40, 40, 40))
        for wheel in (x - s // 3, x + s // 3):
            d.ellipse((wheel - s // 9, y - s // 4, wheel + s // 9, y), fill=(30, 30, 30))

    return paint


def flag(*colours: str) -> Paint:
    """A flag of level stripes on a pole."""

    def paint(d: Draw, x: int, y: int, s: int) -> None:
        d.line((x, y, x, y - s), fill=(70, 70, 70), width=2)
        high = s // 2 // len(colours)
        for i, colour in enumerate(colours):
            d.rectangle((x + 1, y - s + i * high, x + s // 2, y - s + (i + 1) * high - 1), fill=COLOURS[colour])

    return paint


def hat(colour: str) -> Paint:
    """A person with a hat; the only one in a scene."""

    def paint(d: Draw, x: int, y: int, s: int) -> None:
        person(d, x, y, s, CLOTHES[0])
        d.rectangle((x - s // 6, y - s, x + s // 6, y - s + s // 12), fill=COLOURS[colour])
        d.rectangle((x - s // 10, y - s - s // 8, x + s // 10, y - s + s // 16), fill=COLOURS[colour])

    return paint


def sign(corners: int) -> Paint:
    """A sign on a post: round for 0 corners, else with three or four."""

    def paint(d: Draw, x: int, y: int, s: int) -> None:
        d.line((x, y, x, y - s // 2), fill=(80, 80, 80), width=2)
        left, top, right, bottom = x - s // 4, y - s, x + s // 4, y - s // 2
        if corners == 3:
            d.polygon([(x, top), (right, bottom), (left, bottom)], fill=COLOURS["white"], outline=(180, 30, 30))
        elif corners == 4:
            d.rectangle((left, top, right, bottom), fill=COLOURS["white"], outline=(180, 30, 30))
        else:
            d.ellipse((left, top, right, bottom), fill=COLOURS["white"], outline=(180, 30, 30))

    return paint


def birds(count: int) -> Paint:
    """Birds in a row."""

    def paint(d: Draw, x: int, y: int, s: int) -> None:
        for i in range(count):
            left, top = x - s // 2 + i * s // max(1, count), y - s // 2 + (i % 2) * s // 5
            d.line([(left, top), (left + 5, top + 5), (left + 10, top)], fill=(30, 30, 30), width=2)

    return paint


def person(d: Draw, x: int, y: int, s: int, fill: tuple[int, int, int]) -> None:
    """Somebody standing, `s` pixels tall."""
    d.rectangle((x - s // 8, y - s // 2, x + s // 8, y), fill=(66, 66, 76))
    d.rectangle((x - s // 6, y - 4 * s // 5, x + s // 6, y - 2 * s // 5), fill=fill)
    d.ellipse((x - s // 9, y - s, x + s // 9, y - 7 * s // 9), fill=SKIN)


def house(d: Draw, rng: random.Random, x: int, y: int, s: int) -> None:
    """A house with windows, `s` pixels wide."""
    wall = rng.choice(WALLS)
    d.rectangle((x, y - s, x + s, y), fill=wall)
    d.polygon([(x - s // 10, y - s), (x + s + s // 10, y - s), (x + s // 2, y - s - s // 2)], fill=rng.choice(ROOFS))
    for column in range(3):
        for row in range(3):
            left, top = x + s // 8 + column * s // 3, y - 7 * s // 8 + row * s // 3
            d.rectangle((left, top, left + s // 8, top + s // 7), fill=(112, 132, 146))


def tree(d: Draw, rng: random.Random, x: int, y: int, s: int) -> None:
    """A tree, `s` pixels tall."""
    d.rectangle((x - s // 16, y - s // 2, x + s // 16, y), fill=(104, 80, 60))
    d.ellipse((x - s // 3, y - s, x + s // 3, y - s // 3), fill=rng.choice(LEAVES))


# What is looked for: its name, how it is drawn, where (middle of its foot), its size in pixels.
Target = tuple[str, Paint, int, int, int]
Item = tuple[str, list[str], list[Target]]


def attribute(thing: str, paint: Callable[[str], Paint], colours: str, x: int, y: int, size: int) -> Item:
    """A question on the colour of the one such thing in the scene; the first colour is the right one."""
    names = colours.split()
    options = [f"The {thing} is {name}." for name in names]
    return f"Which color does the {thing} have?", options, [(thing, paint(names[0]), x, y, size)]


def position(first: Target, second: Target, right: str, wrong: str) -> Item:
    """A question on where the first thing is as seen from the second."""
    question = f"Is the {first[0]} {right} or {wrong} the {second[0]}?"
    if wrong < right:
        question = f"Is the {first[0]} {wrong} or {right} the {second[0]}?"
    return question, [f"The {first[0]} is {side} the {second[0]}." for side in (right, wrong)], [first, second]


LEFT, RIGHT = "to the left of", "to the right of"
ITEMS: dict[str, list[Item]] = {
    "direct_attributes": [
        attribute("kite", kite, "yellow red blue white", 930, 180, 30),
        attribute("ball", ball, "red green white black", 212, 812, 13),
        attribute("letter box", box, "blue yellow red gray", 655, 470, 20),
        attribute("umbrella", umbrella, "purple black orange green", 1105, 640, 24),
        attribute("sail of the boat", boat, "orange white red blue", 356, 352, 26),
        attribute("dog", dog, "black brown white gray", 804, 566, 18),
        attribute("balloon", balloon, "pink blue green yellow", 118, 262, 28),
        attribute("bench", bench, "green brown blue white", 480, 702, 26),
        attribute("car", car, "white red black yellow", 1010, 452, 24),
        attribute("hat", hat, "brown red blue black", 300, 604, 30),
        ("Which shape does the sign have?",
         ["The sign is triangular.", "The sign is round.", "The sign is square.", "The sign has eight corners."],
         [("sign", sign(3), 884, 764, 28)]),
        ("How many birds are in the sky?",
         ["There are 5 birds in the sky.", "There are 3 birds in the sky.", "There are 4 birds in the sky.",
          "There are 6 birds in the sky."],
         [("birds", birds(5), 560, 120, 80)]),
        ("Does the flag have two or three stripes?", ["The flag has three stripes.", "The flag has two stripes."],
         [("flag", flag("red", "white", "blue"), 700, 480, 30)]),
        ("Is the bucket green or orange?", ["The bucket is orange.", "The bucket is green."],
         [("bucket", bucket("orange"), 96, 690, 14)]),
    ],
    "relative_position": [
        position(("red ball", ball("red"), 230, 840, 13), ("white dog", dog("white"), 470, 852, 18), LEFT, RIGHT),
        position(("green bucket", bucket("green"), 905, 650, 14), ("bench", bench("brown"), 640, 668, 26), RIGHT, LEFT),
        position(("yellow kite", kite("yellow"), 420, 110, 28), ("red kite", kite("red"), 410, 280, 28),
                 "above", "below"),
        position(("blue balloon", balloon("blue"), 842, 300, 26), ("pink balloon", balloon("pink"), 830, 130, 26),
                 "below", "above"),
        position(("letter box", box("red"), 1090, 520, 20), ("black car", car("black"), 770, 534, 26), RIGHT, LEFT),
        position(("round sign", sign(0), 150, 586, 26), ("square sign", sign(4), 372, 590, 26), LEFT, RIGHT),
        position(("dog", dog("brown"), 1044, 742, 18), ("ball", ball("blue"), 828, 746, 12), RIGHT, LEFT),
        position(("orange umbrella", umbrella("orange"), 330, 700, 24),
                 ("blue umbrella", umbrella("blue"), 610, 690, 24), LEFT, RIGHT),
        position(("flag", flag("green", "white"), 980, 500, 28), ("boat", boat("white"), 640, 350, 26), RIGHT, LEFT),
        position(("person with the hat", hat("red"), 520, 800, 30), ("bench", bench("green"), 780, 806, 26),
                 LEFT, RIGHT),
    ],
}  # fmt: skip


def scene(targets: list[Target], seed: int) -> tuple[Image.Image, list[list[int]]]:
    """A large scene full of houses, trees and people, and the boxes (x, y, width, height) of the targets."""
    rng = random.Random(seed)
    image = Image.new("RGB", (WIDTH, HEIGHT), (176, 204, 226))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, HORIZON, WIDTH, HORIZON + 36), fill=(112, 150, 178))
    draw.rectangle((0, HORIZON + 36, WIDTH, HEIGHT), fill=(150, 176, 120))
    for _ in range(7):
        x, y, s = rng.randrange(WIDTH), rng.randrange(30, 250), rng.randrange(30, 70)
        for i in range(3):
            draw.ellipse((x + i * s // 2, y - s // 4, x + s + i * s // 2, y + s // 4), fill=(226, 236, 242))
    spots = [(x, y, s) for _, _, x, y, s in targets]
    for y in range(HORIZON + 60, HEIGHT, 38):
        scale = (y - HORIZON) / (HEIGHT - HORIZON)
        for _ in range(12):
            x = rng.randrange(10, WIDTH - 10)
            kind, size = rng.choice("httpp"), int(24 + 52 * scale)
            reach = 2 * size if kind == "h" else size
            if any(abs(x - at) < reach + 24 and y - reach - 30 < down < y + 40 for at, down, _ in spots):
                continue
            if kind == "h":
                house(draw, rng, x - size // 2, y, size)
            elif kind == "t":
                tree(draw, rng, x, y, int(size * 1.3))
            else:
                person(draw, x, y, int(14 + 22 * scale), rng.choice(CLOTHES))
    boxes = []
    for _, paint, x, y, size in targets:
        before = image.copy()
        paint(draw, x, y, size)
        boxes.append(_changed(before, image))
    return image, boxes


def _indexed(image: Image.Image) -> Image.Image:
    """The image with a palette of its own colours, none changed."""
    colours = sorted(colour for _, colour in image.getcolors(256) or [] if isinstance(colour, tuple))
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for colour in colours for part in colour])
    return image.quantize(palette=palette, dither=Image.Dither.NONE)


def _changed(before: Image.Image, after: Image.Image) -> list[int]:
    left, top, right, bottom = ImageChops.difference(before, after).getbbox() or (0, 0, 0, 0)
    return [left, top, right - left, bottom - top]


def main() -> None:
    """Write each item's scene and annotation."""
    for category, items in ITEMS.items():
        folder = SAMPLE / category
        folder.mkdir(parents=True, exist_ok=True)
        for number, (question, options, targets) in enumerate(items, 1):
            image, boxes = scene(targets, seed=1000 * len(category) + number)
            name = f"scene_{number:02d}"
            _indexed(image).save(folder / f"{name}.png", optimize=True)
            annotation = {
                "target_object": [target[0] for target in targets],
                "bbox": boxes,
                "question": question,
                "options": options,
            }
            text = json.dumps(annotation, ensure_ascii=False, indent=1)
            (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
