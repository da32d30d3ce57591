"""Whether two answers have the same value, and the value of a formula, by computer algebra (math-verify)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from evalkit.scoring._math_client import CLIENT
from evalkit.scoring.formula import Formula, read_formula
from evalkit.scoring.number import LONGEST, Quantity, read_quantity
from evalkit.scoring.units import same_unit

_AGAIN = re.compile(r"(?P<before>[^()=]{1,60}?)\s{0,3}\((?P<again>.{1,100})\)[.,;: $*]{0,4}", re.DOTALL)

TIMEOUT = "timeout"
"""Reason code: working out the formula took more than its share of time or memory."""


def equivalent(a: str, b: str) -> bool | None:
    r"""Whether two answers have one value: `\frac{\sqrt{3}}{2}` and `\sqrt{3/4}`, `0.75` and `3/4`.

    Two numbers are compared exactly, and stated units must not differ. Everything else must be a formula that
    `read_formula` passes; those are compared by math-verify in a process of its own, in both directions.
    A number is its exact value, so `0.333` is not `1/3` and `6.28` is not `2\pi`; a decimal within a formula
    (`0.5\pi`) counts to 12 decimals.

    The answer depends on the texts alone. A question may use 0.6 s of processor time, counted by the process
    itself, and 1 GiB; what `read_formula` passes takes a small part of that, so that ending one is exceptional.

    Args:
        a: an answer or a choice's text.
        b: another.

    Returns:
        True or False; None where it cannot be told: one of the texts is no number and no formula, or working
        it out took too long.

    Raises:
        InfrastructureError: math-verify is not installed, or its process cannot be kept running.
    """
    return equivalents(a, (b,))[0]


def equivalents(a: str, others: Sequence[str]) -> list[bool | None]:
    """`equivalent` of one text with each of several."""
    first = _read(a)
    if first is None:
        return [None] * len(others)
    results: list[bool | None] = []
    pending: dict[int, str] = {}
    for place, text in enumerate(others):
        second = _read(text)
        results.append(None)
        if second is None or _names_differ(first, second) or _variables(first) != _variables(second):
            continue
        if _units_differ(first.unit, second.unit):
            results[-1] = False
        elif isinstance(first, Quantity) and isinstance(second, Quantity):
            results[-1] = first.value == second.value
        else:
            pending[place] = _latex(second)
    if pending:
        compared = _compare(_latex(first), tuple(pending.values()))
        for place, same in zip(pending, compared, strict=True):
            results[place] = same
    return results


def value_of(formula: Formula) -> Fraction | str | None:
    """The real number that a formula is, to 30 digits.

    Returns:
        The number; None where the formula has variables or is no real number; the text "timeout" where working
        it out took too long.
    """
    return None if formula.variables else _value(formula.latex)


@lru_cache(maxsize=4096)
def _compare(a: str, others: tuple[str, ...]) -> tuple[bool | None, ...]:
    reply = CLIENT.ask("equal", a, others)
    return reply.answers if len(reply.answers) == len(others) else (None,) * len(others)


@lru_cache(maxsize=4096)
def _value(latex: str) -> Fraction | str | None:
    reply = CLIENT.ask("value", latex)
    if reply.failed:
        return TIMEOUT
    return None if reply.answers[0] is None else Fraction(reply.answers[0])


def twice_stated(text: str, unit: str = "") -> Quantity | None:
    r"""The number of an answer that gives it again in brackets: `36 (6^2)`, `twelve (12)`.

    Args:
        text: an answer.
        unit: the unit asked for.

    Returns:
        The number before the bracket; None where there is no such bracket, or its value is another or unknown.

    Raises:
        InfrastructureError: as for `equivalent`.
    """
    found = _AGAIN.fullmatch(text.strip()) if len(text) <= LONGEST else None
    if found is None:
        return None
    before = read_quantity(found["before"], unit)
    if before is None:
        return None
    inner = read_quantity(found["again"], unit) or read_formula(found["again"])
    if inner is None or _units_differ(before.unit, inner.unit):
        return None
    if isinstance(inner, Quantity):
        return before if before.value == inner.value else None
    return before if value_of(inner) == before.value else None


def _read(text: str) -> Quantity | Formula | None:
    return read_quantity(text) or read_formula(text) or twice_stated(text)


def _variables(value: Quantity | Formula) -> bool:
    return isinstance(value, Formula) and value.variables


def _latex(value: Quantity | Formula) -> str:
    if isinstance(value, Formula):
        return value.latex
    top, bottom = value.value.as_integer_ratio()
    return f"\\frac{{{top}}}{{{bottom}}}" if bottom != 1 else str(top)


def _units_differ(first: str, second: str) -> bool:
    return bool(first and second) and same_unit(first, second) is not True


def _names_differ(first: Quantity | Formula, second: Quantity | Formula) -> bool:
    """Whether they say what two different letters are."""
    if isinstance(first, Formula) and isinstance(second, Formula):
        return bool(first.name and second.name) and first.name != second.name
    return False
