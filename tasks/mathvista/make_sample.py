"""Draws the task's own sample set: `sample/` beside this file, in MathVista's folder layout.

Questions and drawings were made for evalkit; none comes from the benchmark. Run it with
`python tasks/mathvista/make_sample.py` to make the set anew.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

SAMPLE = Path(__file__).resolve().parent / "sample"
WIDTH, HEIGHT = 320, 240
INK, FILL, ACCENT, PALE = (20, 20, 20), (90, 130, 180), (190, 60, 40), (222, 226, 230)
HUES = (FILL, ACCENT, (80, 150, 90), (220, 170, 50), (130, 90, 160))

Draw = ImageDraw.ImageDraw
Figure = Callable[[Draw], None]


def text(draw: Draw, x: float, y: float, words: str, size: int = 15) -> None:
    """Words centred on a point."""
    draw.text((x, y), words, fill=INK, font=ImageFont.load_default(size=size), anchor="mm")


def bars(values: dict[str, float], top: int, step: int) -> Figure:
    """A bar chart with a scale from 0 to `top`."""

    def paint(draw: Draw) -> None:
        for value in range(0, top + 1, step):
            y = 205 - 175 * value / top
            draw.line((45, y, 310, y), fill=PALE)
            text(draw, 25, y, str(value), 13)
        width = 260 / len(values)
        for place, (name, height) in enumerate(values.items()):
            x = 50 + place * width
            draw.rectangle((x + 8, 205 - 175 * height / top, x + width - 8, 205), fill=HUES[place % 5], outline=INK)
            text(draw, x + width / 2, 222, name, 13)
        draw.line((45, 205, 310, 205), fill=INK, width=2)

    return paint


def lines(years: Sequence[int], values: Sequence[float], top: int) -> Figure:
    """A line plot over years."""

    def paint(draw: Draw) -> None:
        step = 240 / (len(years) - 1)
        points = [(55 + place * step, 200 - 165 * value / top) for place, value in enumerate(values)]
        draw.line((45, 30, 45, 205, 310, 205), fill=INK, width=2)
        draw.line(points, fill=FILL, width=3)
        for (x, y), year in zip(points, years, strict=True):
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=ACCENT)
            text(draw, x, 222, str(year), 12)

    return paint


def pie(shares: dict[str, int]) -> Figure:
    """A pie chart with its percentages."""

    def paint(draw: Draw) -> None:
        start = -90.0
        for place, (name, share) in enumerate(shares.items()):
            end = start + 3.6 * share
            draw.pieslice((70, 30, 250, 210), start, end, fill=HUES[place % 5], outline="white")
            middle = math.radians((start + end) / 2)
            text(draw, 160 + 116 * math.cos(middle), 120 + 104 * math.sin(middle), f"{name} {share}%", 12)
            start = end

    return paint


def table(rows: Sequence[tuple[str, str]]) -> Figure:
    """A table of two columns, the first row its header."""

    def paint(draw: Draw) -> None:
        height = 200 / len(rows)
        for place, (name, value) in enumerate(rows):
            y = 20 + place * height
            draw.rectangle((40, y, 280, y + height), outline=INK, fill=PALE if place == 0 else "white")
            text(draw, 110, y + height / 2, name)
            text(draw, 230, y + height / 2, value)

    return paint


def clock(hours: int, minutes: int) -> Figure:
    """A clock face."""

    def hand(draw: Draw, turn: float, length: int, width: int) -> None:
        angle = math.radians(360 * turn - 90)
        draw.line((160, 120, 160 + length * math.cos(angle), 120 + length * math.sin(angle)), fill=INK, width=width)

    def paint(draw: Draw) -> None:
        draw.ellipse((60, 20, 260, 220), outline=INK, width=3, fill="white")
        for hour in range(1, 13):
            angle = math.radians(30 * hour - 90)
            text(draw, 160 + 82 * math.cos(angle), 120 + 82 * math.sin(angle), str(hour))
        hand(draw, (hours % 12 + minutes / 60) / 12, 45, 6)
        hand(draw, minutes / 60, 70, 3)

    return paint


def triangle(left: str, right: str, top: str, base: str = "", side: str = "", height: str = "") -> Figure:
    """A triangle with angles and lengths written on; with `height` its right angle is at the lower left."""

    def paint(draw: Draw) -> None:
        apex = (80, 45) if height else (140, 45)
        draw.polygon([(80, 190) if height else (50, 190), (250, 190), apex], outline=INK, fill="white", width=3)
        if height:
            draw.rectangle((80, 174, 96, 190), outline=INK, width=2)
            text(draw, 50, 118, height)
        text(draw, 84, 176, left)
        text(draw, 212, 176, right)
        text(draw, apex[0], 84, top)
        text(draw, 160, 212, base)
        text(draw, 206, 100, side)

    return paint


def circle(radius: str) -> Figure:
    """A circle with its radius written on."""

    def paint(draw: Draw) -> None:
        draw.ellipse((70, 30, 250, 210), outline=INK, width=3, fill=PALE)
        draw.line((160, 120, 250, 120), fill=ACCENT, width=3)
        text(draw, 205, 104, radius)

    return paint


def rectangle(width: str, height: str) -> Figure:
    """A rectangle with its sides written on."""

    def paint(draw: Draw) -> None:
        draw.rectangle((60, 55, 260, 185), outline=INK, fill=PALE, width=3)
        text(draw, 160, 205, width)
        text(draw, 32, 120, height)

    return paint


def plot(function: Callable[[float], float]) -> Figure:
    """The graph of a function from -4 to 4, with a grid of whole numbers."""

    def paint(draw: Draw) -> None:
        for whole in range(-4, 5):
            draw.line((160 + 30 * whole, 0, 160 + 30 * whole, 240), fill=PALE)
            draw.line((40, 120 + 30 * whole, 280, 120 + 30 * whole), fill=PALE)
            text(draw, 160 + 30 * whole, 131, str(whole), 10)
        draw.line((40, 120, 280, 120), fill=INK, width=2)
        draw.line((160, 0, 160, 240), fill=INK, width=2)
        points = [(160 + 30 * x, 120 - 30 * function(x)) for x in (step / 20 for step in range(-80, 81))]
        draw.line([point for point in points if 0 <= point[1] <= 240], fill=ACCENT, width=3)

    return paint


def shapes(kinds: str, labels: str = "") -> Figure:
    """A row of shapes: s(quare), c(ircle), t(riangle); upper case in red. `labels` gives each a letter."""

    def paint(draw: Draw) -> None:
        width = 300 / len(kinds)
        size = min(26.0, width / 2 - 4)
        for place, kind in enumerate(kinds):
            x, hue = 10 + (place + 0.5) * width, ACCENT if kind.isupper() else FILL
            box = (x - size, 110 - size, x + size, 110 + size)
            if kind.lower() == "s":
                draw.rectangle(box, fill=hue)
            elif kind.lower() == "c":
                draw.ellipse(box, fill=hue)
            else:
                draw.polygon([(x, 110 - size), (x - size, 110 + size), (x + size, 110 + size)], fill=hue)
            if labels:
                text(draw, x, 160, labels[place])

    return paint


def boxes(entries: Sequence[str]) -> Figure:
    """Numbers in a row of boxes."""

    def paint(draw: Draw) -> None:
        width = 300 / len(entries)
        for place, entry in enumerate(entries):
            draw.rectangle((10 + place * width, 95, 6 + (place + 1) * width, 145), outline=INK, width=2, fill="white")
            text(draw, 8 + (place + 0.5) * width, 120, entry)

    return paint


FQA, GPS, MWP = "figure question answering", "geometry problem solving", "math word problem"
TQA, VQA = "textbook question answering", "visual question answering"
STATISTICS, ARITHMETIC, GEOMETRY = "statistical reasoning", "arithmetic reasoning", "geometry reasoning"
ALGEBRA, LOGIC, SCIENCE, NUMBERS = (
    "algebraic reasoning",
    "logical reasoning",
    "scientific reasoning",
    "numeric commonsense",
)
SCHOOL, HIGH, COLLEGE, ANY = "elementary school", "high school", "college", "not applicable"

Row = dict[str, Any]


def row(
    question: str, answer: str, figure: Figure, context: str, task: str, grade: str, *skills: str, **more: Any
) -> Row:
    """A row without its number; `more` are `choices`, `unit`, `precision`, `type` and `language`."""
    choices = more.get("choices")
    kind = "text" if choices else more.get("type", "integer")
    return {
        "question": question,
        "image": "",
        "choices": choices,
        "unit": more.get("unit"),
        "precision": more.get("precision"),
        "answer": answer,
        "question_type": "multi_choice" if choices else "free_form",
        "answer_type": kind,
        "figure": figure,
        "metadata": {
            "split": "sample",
            "language": more.get("language", "english"),
            "img_width": WIDTH,
            "img_height": HEIGHT,
            "source": "own drawings",
            "category": "general-vqa" if task in (FQA, VQA) else "math-targeted-vqa",
            "task": task,
            "context": context,
            "grade": grade,
            "skills": list(skills),
        },
    }


FRUIT = bars({"pears": 12, "plums": 20, "figs": 8, "dates": 16}, 20, 4)
RAIN = lines([2011, 2012, 2013, 2014, 2015, 2016], [30, 44, 58, 92, 41, 36], 100)
TRAVEL = pie({"bus": 40, "train": 25, "bicycle": 20, "foot": 15})
PRICES = table([("ware", "price"), ("pencil", "$0.45"), ("notebook", "$2.30"), ("ruler", "$1.15"), ("eraser", "$0.60")])
HOURS = table([("day", "visitors"), ("Monday", "14"), ("Tuesday", "9"), ("Wednesday", "23"), ("Thursday", "18")])

ROWS = [
    row("How many plums were sold?", "20", FRUIT, "bar chart", FQA, ANY, STATISTICS),
    row("How many more dates than figs were sold?", "8", FRUIT, "bar chart", FQA, ANY, ARITHMETIC, STATISTICS),
    row("Is the number of pears sold larger than the number of dates sold?", "no", FRUIT, "bar chart", FQA, ANY,
        STATISTICS, choices=["yes", "no"]),
    row("Which ware was sold least?", "figs", FRUIT, "bar chart", FQA, ANY, STATISTICS,
        choices=["pears", "plums", "figs", "dates"]),
    row("What is the mean number sold of the four wares?", "14.0", FRUIT, "bar chart", FQA, ANY,
        ARITHMETIC, STATISTICS, type="float", precision=1),
    row("Between which two years did the rainfall rise most?", "[2013, 2014]", RAIN, "line plot", FQA, ANY,
        STATISTICS, type="list"),
    row("In which year was the rainfall highest?", "2014", RAIN, "line plot", FQA, ANY, STATISTICS),
    row("What share of the pupils comes by bus or by bicycle?", "0.6", TRAVEL, "pie chart", FQA, ANY,
        ARITHMETIC, STATISTICS, type="float", precision=1),
    row("Which way to school is chosen by a quarter of the pupils?", "train", TRAVEL, "pie chart", FQA, ANY,
        STATISTICS, choices=["bus", "train", "bicycle", "foot", "none of these"]),
    row("How much money does Mira need to buy a notebook and a ruler?", "3.45", PRICES, "table", MWP, SCHOOL,
        ARITHMETIC, unit="$", type="float", precision=2),
    row("How much do three pencils cost?", "1.35", PRICES, "table", MWP, SCHOOL, ARITHMETIC,
        unit="$", type="float", precision=2),
    row("How many visitors came on the four days together?", "64", HOURS, "table", MWP, SCHOOL, ARITHMETIC),
    row("On how many days did more than 15 visitors come?", "2", HOURS, "table", MWP, SCHOOL, ARITHMETIC, LOGIC),
    row("What time does the clock show?", "4:30", clock(4, 30), "abstract scene", MWP, SCHOOL, NUMBERS,
        choices=["3:30", "4:30", "5:30", "6:20"]),
    row("How many minutes are there until the next full hour?", "45", clock(8, 15), "abstract scene", MWP, SCHOOL,
        NUMBERS, ARITHMETIC, unit="minutes"),
    row("How large is the angle marked with a question mark?", "70°", triangle("50°", "?", "60°"),
        "geometry diagram", GPS, HIGH, GEOMETRY, ALGEBRA, choices=["50°", "60°", "70°", "80°"]),
    row("How long is the side marked with x?", "√{41}", triangle("", "", "", "5", "x", "4"), "geometry diagram", GPS,
        HIGH, GEOMETRY, ALGEBRA, choices=["3", "9", "√{41}", "√{20}"]),
    row("What is the area of the right triangle?", "10", triangle("", "", "", "5", "", "4"), "geometry diagram", GPS,
        HIGH, GEOMETRY, ALGEBRA),
    row("What is the area of the circle?", "9π", circle("3"), "geometry diagram", GPS, HIGH, GEOMETRY,
        choices=["π", "3π", "6π", "9π", "9"]),
    row("What is the circumference of the circle, with 3.14 for π?", "12.56", circle("2"), "geometry diagram", GPS,
        HIGH, GEOMETRY, ARITHMETIC, type="float", precision=2),
    row("矩形的周长是多少？", "26", rectangle("8", "5"), "geometry diagram", GPS, HIGH, GEOMETRY, ALGEBRA,
        choices=["13", "26", "40", "26"], language="chinese"),
    row("What is the value of the function at x = 2?", "4", plot(lambda x: x * x), "function plot", TQA, COLLEGE,
        ALGEBRA),
    row("Which kind of function is shown?", "linear", plot(lambda x: x / 2 + 1), "function plot", TQA, COLLEGE, ALGEBRA,
        choices=["linear", "quadratic", "exponential"]),
    row("Give the zeros of the function in ascending order.", "[-2, 2]", plot(lambda x: x * x / 2 - 2), "function plot",
        TQA, COLLEGE, ALGEBRA, type="list"),
    row("What is the slope of the line?", "-0.5", plot(lambda x: 1 - x / 2), "function plot", TQA, COLLEGE, ALGEBRA,
        type="float", precision=1),
    row("Take away all red squares. How many shapes are left?", "5", shapes("sScTcSt"), "synthetic scene", VQA, ANY,
        ARITHMETIC),
    row("Which letter stands below the only triangle?", "C", shapes("scTsc", "ABCDE"), "synthetic scene", VQA, ANY,
        LOGIC, choices=["A", "B", "C", "D", "E"]),
    row("Which number belongs in the last box?", "32", boxes(["2", "4", "8", "16", "?"]), "puzzle test", VQA, SCHOOL,
        LOGIC, choices=["18", "20", "22", "24", "28", "30", "32", "64"]),
    row("The boxes hold the ages of five people. How much older is the oldest than the youngest?", "41",
        boxes(["12", "53", "27", "31", "40"]), "abstract scene", VQA, ANY, NUMBERS, ARITHMETIC, unit="years"),
    row("By how much does the boiling point exceed the melting point?", "117.1",
        table([("point", "°C"), ("melting", "-38.8"), ("boiling", "78.3")]), "scientific figure", TQA, COLLEGE,
        SCIENCE, ARITHMETIC, unit="°C", type="float", precision=1),
]  # fmt: skip


def main() -> None:
    """Write the rows and the images."""
    images = SAMPLE / "images"
    images.mkdir(parents=True, exist_ok=True)
    content: dict[str, Row] = {}
    for pid, given in enumerate(ROWS, 1):
        found = {**given, "image": f"images/{pid}.png", "pid": str(pid)}
        _save(found.pop("figure"), SAMPLE / found["image"])
        content[str(pid)] = found
    rows = json.dumps(content, ensure_ascii=False, indent=1)
    (SAMPLE / "testmini.json").write_text(rows + "\n", encoding="utf-8")


def _save(figure: Figure, file: Path) -> None:
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    figure(ImageDraw.Draw(image))
    image.quantize(32).save(file, optimize=True)


if __name__ == "__main__":
    main()
