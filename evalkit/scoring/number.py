r"""One number from an answer, exactly, or none.

An answer is a number when it is one numeral with nothing around it that changes its value: a sign, a
currency, a percent sign, a unit, a word such as "about", an equation whose right side it is. Every
other text, and above all one with two numerals, is no number: which of them was meant would be a guess.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

import msgspec

from evalkit.scoring._text import clean
from evalkit.scoring._words import NO_REMARK, NO_UNIT, NUMBERS, SCALES
from evalkit.scoring.units import known_unit

LONGEST = 300
"""Characters beyond which a text is no number."""

_MINUS = str.maketrans(
    {"−": "-", "﹣": "-", "×": "×", "⋅": "·", "∙": "·", "º": "°", "˚": "°", "\u202f": " ", "\u2009": " "}
)
_VULGAR = dict(zip("½⅓⅔¼¾⅕⅛⅜⅝⅞", ["1/2", "1/3", "2/3", "1/4", "3/4", "1/5", "1/8", "3/8", "5/8", "7/8"], strict=True))
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_LATEX = (
    (re.compile(r"\\[,;:!>]|\\q{0,1}quad\b|\\ "), " "),
    (re.compile(r"\\(?:left|right|displaystyle)\b"), ""),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"\\times\b"), "×"),
    (re.compile(r"\\cdot\b"), "·"),
    (re.compile(r"\\approx\b|\\simeq\b"), "≈"),
    (re.compile(r"\^\s?\{?\s?\\circ\s?\}?|\\degree\b"), "°"),
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
)
_OTHER = re.compile(r"[<>≤≥≠±|;\n]|\\(?:le|ge|lt|gt|ne|pm|leq|geq|neq|sim)\b")
_SEVERAL = re.compile(r",(?:\s|(?=[^\W\d]))|\b(?:and|or)\b|[0-9]\s{1,3}[abcnxyz]\s{0,3}$")
_NUMBER_FIRST = re.compile(r"[-+]?[0-9.]{1,20}\s{0,3},\s{0,3}[A-Za-z]")
# An equals sign in prose states a condition as often as a result: "7 minutes when r = 3".
_PROSE = re.compile(r"\b(?:is|are|was|were|be|when|if|for|where|with|because|since|as)\b", re.IGNORECASE)
_FILLER = re.compile(
    r"(?:approx\.|ca\.|(?:about|approximately|approx|around|roughly|nearly|almost|exactly|only|just|is|equals"
    r"|equal\s{1,3}to)\b"
    r"|a\s{1,3}total\s{1,3}of\b|[≈~:])\s{0,3}",
    re.IGNORECASE,
)
_NUMERAL = re.compile(
    r"(?P<sign>[+-]|(?:minus|negative)\s{1,3})?\s{0,1}(?P<currency>(?:[€£¥₹]|(?:USD|EUR|GBP|JPY|CNY|RMB|INR|CHF)\b)\s{0,2})?(?:"
    r"(?:(?P<whole>[0-9]{1,12})\s{0,3})?\\frac\s{0,2}(?:\{\s{0,2}(?P<top>-?[0-9]{1,40})\s{0,2}\}|(?P<top1>[0-9]))\s{0,2}"
    r"(?:\{\s{0,2}(?P<bottom>[0-9]{1,40})\s{0,2}\}|(?P<bottom1>[0-9]))"
    r"|(?:(?P<whole2>[0-9]{1,12})\s{1,3})?(?P<top2>[0-9]{1,40})\s{0,2}/\s{0,2}(?P<bottom2>[0-9]{1,40})(?![0-9.,/])"
    r"|10\s{0,2}\^\s{0,2}(?:\{\s{0,2}(?P<power>[+-]?[0-9]{1,3})\s{0,2}\}|(?P<power1>[+-]?[0-9]{1,3}))(?![0-9.,])"
    r"|(?P<digits>[1-9][0-9]{0,2}(?:,[0-9]{3}){1,12}(?![0-9])|[1-9][0-9]{0,2}(?:[ '][0-9]{3}){1,12}(?![0-9])"
    r"|[0-9]{1,60})?"
    r"(?:(?P<point>[.,])(?P<decimals>[0-9]{1,60}))?"
    r"(?:[eE](?P<exp>[+-]?[0-9]{1,3})(?![0-9.,])"
    r"|\s{0,2}[×x*·]\s{0,2}10\s{0,2}\^\s{0,2}(?:\{\s{0,2}(?P<exp1>[+-]?[0-9]{1,3})\s{0,2}\}|(?P<exp2>[+-]?[0-9]{1,3}))(?![0-9.,])"
    r")?)"
)
_REMARK = re.compile(
    r"\s{0,3}\(\s{0,3}(?P<first>[^\W\d_]{0,20})[^()0-9]{0,60}\)$"
    r"|(?:^|\s{1,3})is\s{1,3}(?:(?:the|my)\s{1,3})?(?:(?:final|correct|right)\s{1,3})?(?:answer|correct|right|total)$"
)
_UNIT_WORD = re.compile(r"(?:[€£¥₹]|°\s{0,2}[CFK]?|%|[^\W\d_]{1,20}\.?(?:\^?\{?-?[23²³]\}?)?)")
_ATTACHED = frozenset(["m", "g", "s", "h", "l", "L", "N", "J", "W", "V"])
_NUMBER_WORD = re.compile(
    r"(?P<first>[a-z]{3,9})(?:(?:-|\s)(?P<second>one|two|three|four|five|six|seven|eight|nine))?\b"
)


class Quantity(msgspec.Struct, frozen=True):
    """A number as an answer states it.

    Attributes:
        value: exact.
        unit: the text of the unit behind it, "%" for a percentage, "" for none.
        scale: what a word behind the numeral multiplied it by, e.g. 10**6 of "5 million"; it is in `value`.
    """

    value: Fraction
    unit: str = ""
    scale: int = 1


def read_number(text: str, unit: str = "") -> Fraction | None:
    r"""The one number that `text` states, exactly.

    Read are integers and decimals, with thousands separators (`1,234`, `1 234`, `1'234`), also in
    full-width or other Unicode digits; `1e3`, `1.2×10^3`, `1.2\times 10^{3}`, `10^{3}`; `3/4`, `1 1/2`,
    `\frac{3}{4}`, `½`; a currency sign; a trailing unit or noun (`12 years old`, `45°`); `12 thousand`;
    a number word up to ninety-nine where it starts the answer (`three apples`); words of approximation
    before it; brackets, Markdown and LaTeX marks around it, and a remark without digits behind it.

    Rules where several readings exist:

    - `50%` is 50, with "%" as its unit.
    - A comma followed by exactly three digits parts thousands (`1,234` is 1234); one that cannot
      (`3,14`, `0,125`) is a decimal comma.
    - Of an equation or a chain of them (`3 + 4 = 7`) the number is the right side of the last `=` or `≈`.

    Not read: ranges, inequalities, two numbers, ordinals, dates and times, `5k`, `5!`, decades (`1990s`),
    and `- 5`, which may be a point of a list.

    Args:
        text: an extracted answer.
        unit: the unit asked for; it may follow the number even where it is no known word.

    Returns:
        The value, or None, also for a text of more than 300 characters. Never raises.
    """
    quantity = read_quantity(text, unit)
    return None if quantity is None else quantity.value


def read_quantity(text: str, unit: str = "") -> Quantity | None:
    """`read_number` with the unit that the answer states."""
    if len(text) > LONGEST:
        return None
    text = _normal(text)
    side = _right_side(text)
    # "- 5" may be a point of a list.
    if side is None or text.startswith("- "):
        return None
    side = _without_fillers(_unbracket(_without_fillers(side)))
    found = _numeral(side) or _word(side)
    if found is None:
        return None
    value, rest, attached = found
    return _with_unit(value, rest, attached, unit)


def _normal(text: str) -> str:
    text = clean(text.replace("\\$", "$").replace("{,}", ","))
    if not text.isascii():
        text = text.translate(_MINUS)
        for mark, fraction in _VULGAR.items():
            text = text.replace(mark, " " + fraction)
        text = re.sub(r"(?<=10)[⁻⁰¹²³⁴-⁹]{1,4}", lambda power: "^" + power[0].translate(_SUPERSCRIPT), text)
        text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
        if text[:1] in "–—" and text[1:2].isdigit():
            text = "-" + text[1:]
    text = re.sub(r"(?<=[0-9])~", " ", text)
    if "\\" in text:
        for pattern, plain in _LATEX:
            text = pattern.sub(plain, text)
    return text.strip()


def _right_side(text: str) -> str | None:
    """The right side of a chain of equations, the text itself without one, None where it has several results."""
    if _OTHER.search(text):
        return None
    parts = re.split(r"[=≈]", text)
    if len(parts) > 1 and _NUMBER_FIRST.match(parts[0]):
        return None
    if any(_SEVERAL.search(part) for part in parts[1:-1]) or any(_PROSE.search(part) for part in parts[:-1]):
        return None
    return parts[-1].strip()


def _without_fillers(text: str) -> str:
    while filler := _FILLER.match(text):
        text = text[filler.end() :]
    return text


def _unbracket(text: str) -> str:
    """`text` without brackets and quotes around it and without closing punctuation."""
    for _ in range(4):
        text = text.strip().rstrip(".,:").rstrip()
        if len(text) > 2 and text[0] + text[-1] in ("()", "[]", "{}", '""', "''", "“”", "‘’", "**"):
            text = text[1:-1]
        else:
            break
    return text


def _numeral(text: str) -> tuple[Fraction, str, bool] | None:
    """The value, the rest of the text, and whether the rest follows without a space."""
    numeral = _NUMERAL.match(text)
    if numeral is None or numeral.end() == 0:
        return None
    value = _value(numeral)
    if value is None:
        return None
    sign = (numeral["sign"] or "").strip().casefold()
    rest = text[numeral.end() :]
    return (-value if sign not in ("", "+") else value), rest.strip(), not rest[:1].isspace()


def _value(numeral: re.Match[str]) -> Fraction | None:
    top = numeral["top"] or numeral["top1"] or numeral["top2"]
    if top:
        bottom = int(numeral["bottom"] or numeral["bottom1"] or numeral["bottom2"])
        return int(numeral["whole"] or numeral["whole2"] or 0) + Fraction(int(top), bottom) if bottom else None
    if power := numeral["power"] or numeral["power1"]:
        return Fraction(10) ** int(power)
    digits, decimals = numeral["digits"] or "", numeral["decimals"] or ""
    if not digits and not decimals:
        return None
    if numeral["point"] == ",":
        grouped = len(decimals) == 3 and len(digits) <= 3 and not digits.startswith("0")
        if not digits or grouped or "," in digits:
            return None
    exponent = int(numeral["exp"] or numeral["exp1"] or numeral["exp2"] or 0)
    plain = re.sub(r"[, ']", "", digits)
    return Fraction(int(plain + decimals), 10 ** len(decimals)) * Fraction(10) ** exponent


def _word(text: str) -> tuple[Fraction, str, bool] | None:
    found = _NUMBER_WORD.match(text.casefold())
    if found is None or found["first"] not in NUMBERS:
        return None
    value = NUMBERS[found["first"]]
    end = found.end("first")
    if found["second"] and value >= 20:
        value += NUMBERS[found["second"]]
        end = found.end()
    rest = text[end:]
    return (Fraction(value), rest.strip(), False) if not rest or rest[0].isspace() else None


def _with_unit(value: Fraction, rest: str, attached: bool, unit: str) -> Quantity | None:
    remark = _REMARK.search(rest)
    if remark and (remark["first"] or "").casefold() not in NO_REMARK:
        rest = rest[: remark.start()]
    rest = rest.rstrip(".,: ")
    first, _, behind = rest.partition(" ")
    scale = 1
    if first.casefold() in SCALES and not attached:
        scale, rest = SCALES[first.casefold()], behind.strip()
    stated = _stated_unit(value, rest, attached, unit)
    return None if stated is None else Quantity(value * scale, stated, scale)


def _stated_unit(value: Fraction, rest: str, attached: bool, unit: str) -> str | None:
    """The unit that `rest` is, None where it is none and changes or doubts the number."""
    if not rest or (unit and rest.casefold() == unit.casefold()):
        return rest
    if rest.casefold() in ("%", "percent", "per cent"):
        return "%"
    words = re.split(r"\s*[/·]\s*|\s+", rest.removeprefix("% "), maxsplit=8)
    if attached and (words[0].casefold() in NO_UNIT or (len(words[0]) == 1 and words[0] not in _ATTACHED | {"°", "%"})):
        return None
    if len(words) > 5 or not all(_unit_word(word) for word in words):
        return None
    if attached and words[0] == "s" and value.denominator == 1 and value >= 1000:
        return None
    return "%" if rest.startswith("% ") else rest


def _unit_word(word: str) -> bool:
    if not _UNIT_WORD.fullmatch(word) or word.casefold().rstrip(".") in NO_UNIT:
        return False
    return len(word.rstrip(".^{}23²³")) > 1 or known_unit(word[0]) or not word.isascii() or word in "aC"
