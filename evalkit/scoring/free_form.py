"""Answers that are numbers or lists of them, compared as values, exactly."""

from __future__ import annotations

from fractions import Fraction

from evalkit.errors import one_line
from evalkit.records import Outcome, Verdict
from evalkit.scoring._text import plain
from evalkit.scoring.equivalence import TIMEOUT, twice_stated, value_of
from evalkit.scoring.extract import NONE, WHOLE, Extraction, concluded, extract
from evalkit.scoring.formula import read_formula
from evalkit.scoring.lists import read_list, same_lists
from evalkit.scoring.number import Quantity, read_quantity
from evalkit.scoring.units import same_unit

NO_NUMBER = "no_number"
"""Reason code: an answer was given, and it is not one number."""
NO_LIST = "no_list"
"""Reason code: an answer was given, and it is not one list."""
OTHER_UNIT = "other_unit"
"""Reason code: the answer states another unit of the dimension asked for, e.g. m where cm is asked for."""
PERCENT = "percent"
"""Reason code: the answer is a percentage that is right only when read as a share (50% for 0.5), or the reverse."""

SCALE = "scale"
"""Reason code: the answer is right only if its scale word was asked for (197.3 billion for 197.3)."""

# A formula's value has 30 digits, a decimal in one 15.
_NOISE = Fraction(1, 10**12)


def score_number(response: str, gold: str, scorer: str, *, precision: int | None = None, unit: str = "") -> Outcome:
    r"""Score a complete response to a question whose answer is a number.

    The answer is read by `read_number`, and where it is a formula (`5\sqrt{3}`, `2\pi`) by computer algebra.
    It is right

    - without a precision, when it equals the gold exactly: `14.0` is 14, and 3.9 is not 3;
    - with precision p, when it can be rounded to the gold at p decimals: |answer - gold| <= 0.5 * 10^-p, both
      ends included, in exact arithmetic. So 1.25 is right for 1.2 and for 1.3 at p = 1 (both ways of rounding a
      half are in use), and 1.3 is wrong for 1.25 at p = 2.

    A unit may follow. One of the dimension asked for but of another scale (`5 m` for cm, months for years) makes
    the answer incorrect, reason "other_unit": nothing is converted. Other words are not looked at.
    A percentage is its number (50% is 50), and 5 million is 5,000,000. If the answer is right only as a share (50%
    where the gold is 0.5; or a percent is asked for and the share is given) or only without its scale word (197.3
    billion where the gold is 197.3), the question alone could tell: unparsed, reason "percent" or "scale".

    Args:
        response: the complete text of the last turn.
        gold: the right number, in any form that `read_number` or `read_formula` takes.
        scorer: rule and version to record, e.g. "mathvista/1".
        precision: decimals to which the gold is given; None for an exact answer.
        unit: the unit that the question asks for, "" for none.

    Returns:
        Correct or incorrect with the rule that found the answer; or unparsed, with reason "none" (no answer was
        given), "no_number" (what was given is not one number), "percent", "scale" or "timeout".

    Raises:
        ValueError: the gold is no number.
        InfrastructureError: a formula had to be worked out and math-verify is not installed or does not run.
    """
    target = _number(gold, unit)
    if not isinstance(target, Quantity):
        raise ValueError(f"the gold {gold!r} is no number")
    found = extract(response)
    value = None if found.answer is None else _number(found.answer, unit)
    if value is None and (last := concluded(response, found)) and last.answer is not None:
        value = _number(last.answer, unit)
        found = found if value is None else last
    if not isinstance(value, Quantity):
        return _unread(found, value or NO_NUMBER, scorer)
    answer = _shown(found)
    if unit and value.unit and same_unit(value.unit, unit) is False:
        return Outcome(verdict=Verdict.INCORRECT, answer=answer, reason=OTHER_UNIT, scorer=scorer)
    if _fits(value.value, target.value, precision):
        return Outcome(verdict=Verdict.CORRECT, answer=answer, reason=found.reason, scorer=scorer)
    if value.scale != 1 and _fits(value.value / value.scale, target.value, precision):
        return Outcome(verdict=Verdict.UNPARSED, answer=answer, reason=SCALE, scorer=scorer)
    share = value.unit == "%" and unit == "" and _fits(value.value / 100, target.value, precision)
    if share or (unit == "%" and not value.unit and _fits(value.value * 100, target.value, precision)):
        return Outcome(verdict=Verdict.UNPARSED, answer=answer, reason=PERCENT, scorer=scorer)
    return Outcome(verdict=Verdict.INCORRECT, answer=answer, reason=found.reason, scorer=scorer)


def score_list(response: str, gold: str, scorer: str) -> Outcome:
    """Score a complete response to a question whose answer is a list.

    Args:
        response: the complete text of the last turn.
        gold: the right list, e.g. `[0, 2, 0]` or `['a', 'b']`.
        scorer: rule and version to record.

    Returns:
        Correct when both lists have the same length and equal elements in the same order (numbers as values, texts
        case-folded); otherwise incorrect, or unparsed with reason "none" or "no_list".

    Raises:
        ValueError: the gold is no list.
    """
    target = read_list(gold)
    if target is None:
        raise ValueError(f"the gold {gold!r} is no list")
    found = extract(response)
    values = None if found.answer is None else read_list(found.answer)
    if values is None and (last := concluded(response, found)) and last.answer is not None:
        values = read_list(last.answer)
        found = found if values is None else last
    if values is None:
        return _unread(found, NO_LIST, scorer)
    verdict = Verdict.CORRECT if same_lists(values, target) else Verdict.INCORRECT
    return Outcome(verdict=verdict, answer=_shown(found), reason=found.reason, scorer=scorer)


def _number(text: str, unit: str) -> Quantity | str | None:
    """The number with its unit; "timeout" where a formula could not be worked out in time."""
    quantity = read_quantity(text, unit) or twice_stated(text, unit)
    if quantity is not None:
        return quantity
    formula = read_formula(text)
    if formula is None:
        return None
    value = value_of(formula)
    return Quantity(value, formula.unit) if isinstance(value, Fraction) else value


def _fits(value: Fraction, target: Fraction, precision: int | None) -> bool:
    half = Fraction(0) if precision is None else Fraction(1, 2 * 10**precision)
    off = abs(value - target)
    # A float's or a formula's last digit is noise; a decimal that was written has no noise.
    return off <= half or (value.denominator > 10**12 and off <= half + _NOISE)


def _unread(found: Extraction, reason: str, scorer: str) -> Outcome:
    if reason != TIMEOUT and (found.answer is None or found.reason == WHOLE):
        return Outcome(verdict=Verdict.UNPARSED, reason=NONE, scorer=scorer)
    return Outcome(verdict=Verdict.UNPARSED, answer=_shown(found), reason=reason, scorer=scorer)


def _shown(found: Extraction) -> str:
    return one_line(plain((found.answer or "")[:1000]), 200)
