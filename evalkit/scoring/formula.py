r"""Formulas in answers: what is let through to the computer algebra, and what is refused unseen.

The algebra library reads a text for as long as it likes, so only texts of a narrow grammar reach it:
numbers, single-letter variables, the four operations, powers, roots, `\frac`, `\pi` and a few functions,
with caps on length, nesting, exponents and the number of variables. The caps depend on the text alone, so
the same text is refused always, and what passes takes milliseconds.
"""

from __future__ import annotations

import re
from math import prod

import msgspec

from evalkit.scoring._text import clean
from evalkit.scoring.units import known_unit

LONGEST = 200
"""Characters beyond which a text is no formula."""

_MOST_TOKENS = 80
_DEEPEST = 6
_MOST_VARIABLES = 4
_MOST_ROOTS = 6
_MOST_CALLS = 2

_FUNCTIONS = frozenset(["sin", "cos", "tan", "log", "ln"])
_GREEK = frozenset(["alpha", "beta", "gamma", "theta", "lambda", "mu", "phi", "omega"])
_TOKEN = re.compile(
    r"\s+|(?P<number>[0-9]{1,15}(?:\.[0-9]{1,15})?(?![0-9.])|\.[0-9]{1,15}(?![0-9.]))"
    r"|\\(?P<command>[A-Za-z]{2,8})|(?P<letters>[A-Za-z]{1,5})|(?P<symbol>[-+*/^(){}_\[\]·×÷π√])"
)
_ESCAPES = (
    (re.compile(r"\\(?:left|right|displaystyle)(?![A-Za-z])|\\[,;:! ]"), " "),
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\operatorname\s{0,3}\{([a-z]{2,4})\}"), r"\\\1"),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"²"), "^2"),
    (re.compile(r"³"), "^3"),
    (re.compile(r"[−﹣–]"), "-"),
)
_LATEX = {"·": "\\cdot ", "×": "\\cdot ", "*": "\\cdot ", "÷": "/", "π": "\\pi "}
_NAMED = re.compile(r"([A-Za-z](?:_(?:[A-Za-z0-9]|\{[A-Za-z0-9]{1,3}\}))?)\s{0,3}=(?!=)")
# A bracket behind a space and beside a lone number is a remark, and no factor: "36 (6^2)", "5\sqrt{3} (8.66)".
_SPACE = r"(?:\s|\\[,;: ]){1,5}"
_REMARK = re.compile(
    rf"(?:^|=)\s{{0,3}}[-+]?[0-9.,]{{1,20}}{_SPACE}[(\[]|(?<!\s){_SPACE}[(\[]\s{{0,3}}[-+]?[0-9.,]{{1,20}}\s{{0,3}}[)\]]$"
)
_UNIT = re.compile(r"(?:\s|\}|\))\s{0,3}([A-Za-z]{2,12}(?:\^?\{?[23]\}?)?)\.?$")
_EXPONENT = re.compile(r"\^\s?(?:\{\s?-?\s?([0-9]{1,20})\s?\}|-?([0-9]))")
_POWER = re.compile(r"\^\s?(?:\{([^{}]{0,80})\}|[A-Za-z0-9])")


class Formula(msgspec.Struct, frozen=True):
    """A text that the algebra may see.

    Attributes:
        latex: the formula in LaTeX, without marks around it.
        unit: a known unit that stood behind it, "" for none.
        name: the letter before an equals sign that was taken off, "" for none.
        variables: whether letters other than e and π stand in it.
    """

    latex: str
    unit: str = ""
    name: str = ""
    variables: bool = False


def read_formula(text: str) -> Formula | None:
    r"""`text` as a formula, or None where it is none, or one too large to be worked out.

    A name before an equals sign (`x = …`) and a known unit behind the formula are taken off; LaTeX and Markdown
    marks around it do not count; `sqrt(3)/2`, `√3/2` and `2π` are read like their LaTeX.
    Refused are texts with a word, the letter i, a comma, a percent or degree sign, a factorial, an equation or
    inequality; a lone number before or in a bracket that stands apart (`36 (6^2)`), which is a remark;
    figures and signs alone (`3-5`, `2011-12`); two capitals in a row (they name a segment or an angle, not
    a product); a power of a power, exponents whose product exceeds 1,000 (12, and their sum 8, where there is a
    variable); more than two functions, six roots or four variables.

    Args:
        text: an answer or a choice's text.

    Returns:
        The formula; never raises, and takes time linear in the text.
    """
    if not text or len(text) > LONGEST:
        return None
    text = clean(text.replace("\\$", ""))
    if _REMARK.search(text.rstrip(".,;: ")):
        return None
    for pattern, plain in _ESCAPES:
        text = pattern.sub(plain, text)
    text = text.strip().rstrip(".,;:").rstrip()
    unit = ""
    if (found := _UNIT.search(text)) and known_unit(found[1].rstrip("^{}23")):
        unit, text = found[1], text[: found.start(1)].rstrip()
    name = ""
    if named := _NAMED.match(text):
        name, text = named[1], text[named.end() :].strip()
    latex, variables = _translate(text)
    if latex is None or not _bounded(latex, bool(variables)):
        return None
    return Formula(latex, unit, name, bool(variables))


def _translate(text: str) -> tuple[str | None, set[str]]:
    """The formula token by token, None with the first that is not in the grammar."""
    parts: list[str] = []
    variables: set[str] = set()
    calls = roots = position = 0
    capital = False
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None or len(parts) > _MOST_TOKENS:
            return None, variables
        position = token.end()
        piece, before = token[0], capital
        capital = False
        if "i" in (token["letters"] or "").casefold() and token["letters"].casefold() not in _FUNCTIONS | {"pi"}:
            return None, variables
        if command := token["command"]:
            roots += command == "sqrt"
            calls += command in _FUNCTIONS
            if command in _GREEK:
                variables.add(command)
            elif command not in _FUNCTIONS | {"sqrt", "frac", "pi", "cdot", "times", "div"}:
                return None, variables
            parts.append("\\cdot " if command == "times" else "/" if command == "div" else piece + " ")
        elif letters := token["letters"]:
            word = letters.casefold()
            if word == "pi":
                parts.append("\\pi ")
            elif word == "sqrt" or word in _FUNCTIONS:
                roots += word == "sqrt"
                calls += word != "sqrt"
                opened = _argument(text, position) if word == "sqrt" else None
                if word == "sqrt" and opened is None:
                    return None, variables
                if opened is None:
                    parts.append(f"\\{word} ")
                else:
                    inner, more = _translate(opened[0])
                    if inner is None:
                        return None, variables
                    variables |= more
                    parts.append(f"\\sqrt{{{inner}}}")
                    position = opened[1]
            elif len(letters) == 1:
                if letters.isupper() and before:
                    return None, variables
                capital = letters.isupper()
                variables |= {letters} - {"e"}
                parts.append(letters)
            elif len(letters) == 2 and letters.islower() and not known_unit(letters):
                variables |= set(letters) - {"e"}
                parts.append(letters)
            else:
                return None, variables
        elif piece == "√":
            root = re.compile(r"\s?(?:([0-9]{1,9})|\(([^()]{1,60})\)|\{([^{}]{1,60})\})").match(text, position)
            inner, more = _translate(next(filter(None, root.groups()))) if root else (None, set())
            if root is None or inner is None:
                return None, variables
            roots += 1
            variables |= more
            parts.append(f"\\sqrt{{{inner}}}")
            position = root.end()
        else:
            parts.append(_LATEX.get(piece, piece) if piece.strip() else " ")
        if calls > _MOST_CALLS or roots > _MOST_ROOTS or len(variables) > _MOST_VARIABLES:
            return None, variables
    return "".join(parts).strip() or None, variables


def _argument(text: str, start: int) -> tuple[str, int] | None:
    """The balanced argument in parentheses that follows `start`, and where it ends."""
    opened = re.compile(r"\s{0,2}[({]").match(text, start)
    if opened is None:
        return None
    depth = 1
    for position in range(opened.end(), len(text)):
        depth += (text[position] in "({") - (text[position] in ")}")
        if depth == 0:
            return text[opened.end() : position], position + 1
    return None


def _bounded(latex: str, variables: bool) -> bool:
    """Whether the formula is balanced, not deep, and without large powers."""
    pairs, stack = {")": "(", "}": "{", "]": "["}, []
    for mark in latex:
        if mark in "({[":
            stack.append(mark)
        elif mark in pairs and (not stack or stack.pop() != pairs[mark]):
            return False
        if len(stack) > _DEEPEST:
            return False
    # Figures and signs alone may be a range, a date or a score: 3-5, 2011-12.
    if stack or not re.search(r"[A-Za-z^]", latex):
        return False
    powers = [power[1] or "" for power in _POWER.finditer(latex)]
    if len(powers) != latex.count("^") or any("^" in power for power in powers):
        return False
    exponents = [max(int(a or b), 1) for a, b in _EXPONENT.findall(latex)]
    most = (12, 8) if variables else (1_000, 1_000)
    return prod(exponents) <= most[0] and sum(exponents) <= most[1]
