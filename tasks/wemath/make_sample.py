"""Draws the task's own sample set: `sample/` beside this file, in We-Math's folder layout.

Questions and drawings were made for evalkit; none comes from the benchmark. Run it with
`python tasks/wemath/make_sample.py` to make the set anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SAMPLE = Path(__file__).resolve().parent / "sample"
WIDTH, HEIGHT = 320, 240
INK, FILL, ACCENT = (20, 20, 20), (214, 228, 240), (190, 60, 40)

Draw = ImageDraw.ImageDraw
Figure = Callable[[Draw], None]

AREA = "Areas of straight-sided figures"
LENGTH = "Lengths around figures"
ANGLE = "Angles in figures"
SOLID = "Cubes"
GRID = "Points on a grid"
CONCEPTS = {
    "Outline of a rectangle": LENGTH,
    "Side of a square from its outline": LENGTH,
    "Radius and width of a circle": LENGTH,
    "Third angle of a triangle": ANGLE,
    "Equal angles of an isosceles triangle": ANGLE,
    "Neighbouring angles on a line": ANGLE,
    "Area of a rectangle": AREA,
    "Area of a square": AREA,
    "Area of a right triangle": AREA,
    "Area left after a cut": AREA,
    "Volume of one cube": SOLID,
    "Counting stacked cubes": SOLID,
    "Volume of many cubes": SOLID,
    "Reading a grid point": GRID,
    "Moving a grid point": GRID,
}


def text(draw: Draw, x: float, y: float, words: str) -> None:
    """Words centred on a point."""
    draw.text((x, y), words, fill=INK, font=ImageFont.load_default(size=18), anchor="mm")


def rectangle(width: str, height: str, cut: bool = False) -> Figure:
    """A rectangle with its sides written on; `cut` marks a right triangle off its lower right corner."""

    def paint(draw: Draw) -> None:
        left = 97 if width == height else 60
        draw.rectangle((left, 50, 320 - left, 175), outline=INK, fill=FILL, width=3)
        text(draw, 160, 30, width)
        text(draw, left - 28, 112, height)
        if cut:
            draw.polygon([(160, 175), (260, 175), (260, 50)], fill="white", outline=ACCENT, width=3)
            text(draw, 210, 195, "4 cm")
            text(draw, 290, 112, "5 cm")

    return paint


def triangle(left: str, right: str, top: str, beside: str = "", equal: bool = False) -> Figure:
    """A triangle on a line with its angles written in, `beside` the outer angle at the lower right."""

    def paint(draw: Draw) -> None:
        apex = (145, 50) if equal else (115, 50)
        draw.polygon([(50, 190), (240, 190), apex], outline=INK, fill=FILL, width=3)
        text(draw, 84, 176, left)
        text(draw, 202, 176, right)
        text(draw, apex[0], 88, top)
        if beside:
            draw.line((240, 190, 310, 190), fill=INK, width=3)
            text(draw, 272, 172, beside)
        if equal:
            for x in (97, 193):
                draw.line((x - 7, 120, x + 7, 120), fill=ACCENT, width=3)

    return paint


def right_triangle(base: str, height: str) -> Figure:
    """A triangle with its right angle at the lower left."""

    def paint(draw: Draw) -> None:
        draw.polygon([(80, 190), (240, 190), (80, 50)], outline=INK, fill=FILL, width=3)
        draw.rectangle((80, 172, 98, 190), outline=INK, width=2)
        text(draw, 160, 212, base)
        text(draw, 48, 120, height)

    return paint


def line_angles(known: str, asked: str, lean: int = 60) -> Figure:
    """A ray on a line, leaning `lean` pixels to the right, with the two angles beside it."""

    def paint(draw: Draw) -> None:
        draw.line((30, 170, 290, 170), fill=INK, width=3)
        draw.line((160, 170, 160 + lean, 50), fill=INK, width=3)
        text(draw, 208, 148, known)
        text(draw, 118, 148, asked)

    return paint


def circle(radius: str, boxed: bool = False) -> Figure:
    """A circle with its radius, in a square that it touches if `boxed`."""

    def paint(draw: Draw) -> None:
        if boxed:
            draw.rectangle((80, 40, 240, 200), outline=INK, width=3)
        draw.ellipse((80, 40, 240, 200), outline=INK, fill=FILL, width=3)
        draw.line((160, 120, 240, 120), fill=ACCENT, width=3)
        text(draw, 200, 104, radius)

    return paint


def grid(point: tuple[int, int], move: bool = False) -> Figure:
    """Squares numbered from the lower left, a point P on them, an arrow 4 right and 1 up if `move`."""

    def paint(draw: Draw) -> None:
        def at(x: int, y: int) -> tuple[int, int]:
            return 40 + 30 * x, 200 - 30 * y

        for i in range(9):
            draw.line((*at(i, 0), *at(i, 6)), fill=(180, 180, 180))
            text(draw, at(i, 0)[0], 216, str(i))
        for i in range(7):
            draw.line((*at(0, i), *at(8, i)), fill=(180, 180, 180))
            text(draw, 22, at(0, i)[1], str(i))
        x, y = at(*point)
        if move:
            draw.line((x, y, x + 120, y), fill=ACCENT, width=3)
            draw.line((x + 120, y, x + 120, y - 30), fill=ACCENT, width=3)
        draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill=INK)
        text(draw, x - 14, y - 14, "P")

    return paint


def cubes(columns: int, rows: int, edge: str) -> Figure:
    """Cubes in a wall one deep, the edge of one written on."""

    def paint(draw: Draw) -> None:
        size, lean = 52, 18
        left, bottom = 160 - columns * size // 2, 200
        for row in range(rows):
            for column in range(columns):
                x, y = left + column * size, bottom - row * size
                draw.rectangle((x, y - size, x + size, y), outline=INK, fill=FILL, width=2)
                top = [(x, y - size), (x + lean, y - size - lean), (x + size + lean, y - size - lean)]
                draw.polygon([*top, (x + size, y - size)], outline=INK, fill="white", width=2)
                side = [(x + size, y - size), (x + size + lean, y - size - lean), (x + size + lean, y - lean)]
                draw.polygon([*side, (x + size, y)], outline=INK, fill=(184, 202, 220), width=2)
        text(draw, left + size // 2, bottom + 16, edge)

    return paint


# Question, options, answer, concept ("" for the whole problem), figure; the parts first, then the whole.
Part = tuple[str, str, str, str, Figure]
PROBLEMS: list[list[Part]] = [
    [
        ("How long is the outline of this rectangle?", "A. 10 cm; B. 20 cm; C. 21 cm; D. None of these", "B",
         "Outline of a rectangle", rectangle("7 cm", "3 cm")),
        ("The outline of this square is 20 cm long. How long is one side?",
         "A. 4 cm; B. 10 cm; C. 5 cm; D. None of these", "C",
         "Side of a square from its outline", rectangle("?", "?")),
        ("A wire has the shape of this rectangle. It is bent into a square. How long is one side of the square?",
         "A. 5 cm; B. 7 cm; C. 10 cm; D. 3 cm; E. None of these", "A", "", rectangle("7 cm", "3 cm")),
    ],
    [
        ("How large is the angle at the lower right?", "A. 60° B. 70° ;C. 80°; D. None of these", "B",
         "Third angle of a triangle", triangle("50°", "?", "60°")),
        ("How large is the angle marked with a question mark?", "A. 20°;B. 70°;C. 90°;D. 110°; E. None of these",
         "D", "Neighbouring angles on a line", line_angles("70°", "?", lean=44)),
        ("How large is the angle outside the triangle, marked with a question mark?",
         "A. 110°;   B. 120°;   C. 130°; F. None of these", "A", "", triangle("50°", "", "60°", beside="?")),
    ],
    [
        ("How wide is the circle from side to side?", "A. 2 cm; B. 4 cm; C. 8 cm; D. None of these", "C",
         "Radius and width of a circle", circle("4 cm")),
        ("What is the area of a square with this side?", "A. 16 cm²; B. 64 cm²; C. 32 cm²; D. None of these", "B",
         "Area of a square", rectangle("8 cm", "8 cm")),
        ("The circle touches all four sides of the square. What is the area of the square?",
         "A. 16 cm²; B. 32 cm²; C. 48 cm²; D. 64 cm²; E. None of these", "D", "", circle("4 cm", boxed=True)),
    ],
    [
        ("Where is point P?", "A. (3, 2); B. (2, 3); C. (3, 3); D. None of these", "A",
         "Reading a grid point", grid((3, 2))),
        ("Point P at (3, 2) moves 4 squares to the right and 1 up. Where does it end?",
         "A. (4, 6); B. (7, 2); C. (7, 3); D. None of these", "C", "Moving a grid point", grid((3, 2), move=True)),
        ("Point P moves 4 squares to the right and 1 up. Where does it end?",
         "A. (5, 1); B. (5, 6); C. (6, 4); D. (2, 5); E. None of these", "E", "", grid((2, 4), move=True)),
    ],
    [
        ("What is the area of this rectangle?", "A. 40 cm²; B. 26 cm²; C. 13 cm²; D. None of these", "A",
         "Area of a rectangle", rectangle("8 cm", "5 cm")),
        ("What is the area of this right triangle?", "A. 20 cm²; B. 9 cm²; C. 10 cm²; D. None of these", "C",
         "Area of a right triangle", right_triangle("4 cm", "5 cm")),
        ("A sheet of 40 cm² loses a corner of 10 cm². How much is left?",
         "A. 50 cm²; B. 30 cm²; C. 40 cm²; D. None of these", "B",
         "Area left after a cut", rectangle("8 cm", "5 cm", cut=True)),
        ("The white corner is cut off the rectangle. What is the area of the rest?",
         "A. 20 cm²; B. 25 cm²; C. 30 cm²; D. 35 cm²; E. None of these", "C", "", rectangle("8 cm", "5 cm", cut=True)),
    ],
    [
        ("What is the volume of this cube?", "A. 9 cm³; B. 27 cm³; C. 18 cm³; D. None of these", "B",
         "Volume of one cube", cubes(1, 1, "3 cm")),
        ("How many cubes are there, if none is hidden?", "A. 4; B. 5; C. 6; D. 8; E. None of these", "C",
         "Counting stacked cubes", cubes(3, 2, "")),
        ("Each of these six cubes has a volume of 27 cm³. What is their volume together?",
         "A. 162 cm³; B. 135 cm³; C. 33 cm³; D. None of these", "A", "Volume of many cubes", cubes(3, 2, "")),
        ("All cubes are equal and none is hidden. What is their volume together?",
         "A. 54 cm³; B. 108 cm³; C. 135 cm³; D. 162 cm³; E. None of these", "D", "", cubes(3, 2, "3 cm")),
    ],
    [
        ("The two marked sides are equally long. How large is the angle at the lower right?",
         "A. 40°; B. 50°; C. 100°; D. None of these", "A",
         "Equal angles of an isosceles triangle", triangle("40°", "?", "", equal=True)),
        ("How large is the angle at the top?", "A. 40°; B. 80°; C. 100°; D. None of these", "C",
         "Third angle of a triangle", triangle("40°", "40°", "?", equal=True)),
        ("How large is the angle marked with a question mark?", "A. 80°; B. 100°; C. 260°; D. None of these", "A",
         "Neighbouring angles on a line", line_angles("100°", "?", lean=-21)),
        ("The two marked sides are equally long. If one of them is drawn on beyond the top, "
         "how large is the angle between it and the other?",
         "A. 40°; B. 80°; C. 100°; D. 140°; E. None of these", "B", "", triangle("40°", "", "", equal=True)),
    ],
]  # fmt: skip


def main() -> None:
    """Write the rows, the images and the concept table."""
    rows: list[dict[str, str | int]] = []
    problems = {2: 0, 3: 0}
    for parts in PROBLEMS:
        steps = len(parts) - 1
        problems[steps] += 1
        problem = f"{steps}steps_{problems[steps]}"
        concepts = ";".join(concept for *_, concept, _ in parts[:-1])
        for number, (question, option, answer, concept, figure) in enumerate(parts, 1):
            step = "multi" if number > steps else str(number)
            name = f"{steps}steps/image/{problems[steps]}-{step}.png"
            _save(figure, SAMPLE / name)
            rows.append(
                {
                    "ID": problem,
                    "split": "sample",
                    "knowledge concept": concept or concepts,
                    "question": question,
                    "option": option,
                    "answer": answer,
                    "image_path": name,
                    "key": f"{steps}steps_{step}",
                    "question number": len(rows) + 1,
                    "knowledge concept description": "",
                }
            )
    nodes = [
        {"root0": "Sample", "root1": "Sample", "root2": category, "root3": concept, "root4": None}
        for concept, category in CONCEPTS.items()
    ]
    _write("testmini.json", rows)
    _write("knowledge_structure_nodes.json", nodes)


def _save(figure: Figure, file: Path) -> None:
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    figure(ImageDraw.Draw(image))
    file.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(32).save(file, optimize=True)


def _write(name: str, content: object) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=1)
    (SAMPLE / name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
