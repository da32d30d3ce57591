"""Units of measure as far as answers need them: whether two names mean the same unit."""

from __future__ import annotations

import re
from fractions import Fraction

# Dimension to the scale of each unit and its names. Only units that are common in answers.
_TABLE: dict[str, dict[Fraction, str]] = {
    "length": {
        Fraction(1, 1000): "mm millimeter millimeters millimetre millimetres",
        Fraction(1, 100): "cm centimeter centimeters centimetre centimetres",
        Fraction(1, 10): "dm decimeter decimeters decimetre decimetres",
        Fraction(1): "m meter meters metre metres",
        Fraction(1000): "km kilometer kilometers kilometre kilometres",
        Fraction(254, 10000): "in inch inches",
        Fraction(3048, 10000): "ft foot feet",
        Fraction(9144, 10000): "yd yard yards",
        Fraction(1609344, 1000): "mi mile miles",
    },
    "mass": {
        Fraction(1, 1000): "mg milligram milligrams",
        Fraction(1): "g gram grams gramme grammes",
        Fraction(1000): "kg kilogram kilograms kilo kilos",
        Fraction(10**6): "t ton tons tonne tonnes",
        Fraction(45359237, 10**5): "lb lbs pound pounds",
    },
    "time": {
        Fraction(1, 1000): "ms millisecond milliseconds",
        Fraction(1): "s sec secs second seconds",
        Fraction(60): "min mins minute minutes",
        Fraction(3600): "h hr hrs hour hours",
        Fraction(86400): "d day days",
        Fraction(7 * 86400): "wk week weeks",
        Fraction(30 * 86400): "month months",
        Fraction(365 * 86400): "y yr yrs year years",
        Fraction(3650 * 86400): "decade decades",
    },
    "volume": {
        Fraction(1, 1000): "ml milliliter milliliters millilitre millilitres",
        Fraction(1): "l liter liters litre litres",
    },
    "angle": {Fraction(1): "° deg degree degrees", Fraction(573, 10): "rad radian radians"},
    "share": {Fraction(1): "% percent"},
    "force": {Fraction(1): "n newton newtons", Fraction(1000): "kn kilonewton kilonewtons"},
    "energy": {Fraction(1): "j joule joules", Fraction(1000): "kj kilojoule kilojoules"},
    "power": {Fraction(1): "w watt watts", Fraction(1000): "kw kilowatt kilowatts"},
    "voltage": {Fraction(1): "v volt volts", Fraction(1000): "kv kilovolt kilovolts"},
}
_UNITS = {
    name: (dimension, scale)
    for dimension, units in _TABLE.items()
    for scale, names in units.items()
    for name in names.split()
}
_POWER = {"²": 2, "2": 2, "³": 3, "3": 3}
_WORD = re.compile(
    r"(?:(square|sq|cubic|cu)\.?\s{1,3})?([^\W\d_²³]{1,20}|[°%])\.?(?:\^?\{?([23²³])\}?)?", re.IGNORECASE
)


def known_unit(name: str) -> bool:
    """Whether `name` is one of the units of the table, in any case and number."""
    return name.casefold().rstrip(".") in _UNITS


def same_unit(stated: str, asked: str) -> bool | None:
    """Whether two names mean one unit.

    Args:
        stated: the text after the number, e.g. "years old".
        asked: the unit of the task, e.g. "years".

    Returns:
        True for the same unit; False for two units of one dimension with different scales (cm and m, years
        and months), which is a different quantity; None where the table does not tell.
    """
    first, second = _resolve(stated), _resolve(asked)
    if first is None or second is None or first[0] != second[0]:
        return True if stated.strip().casefold() == asked.strip().casefold() else None
    return first == second


def _resolve(text: str) -> tuple[tuple[str, int], Fraction] | None:
    text = text.strip()
    word = _WORD.match(text)
    if word is None or "/" in text or " per " in f" {text.casefold()} ":
        return None
    unit = _UNITS.get(word[2].casefold())
    if unit is None:
        return None
    power = _POWER.get(word[3] or "", 1)
    if word[1]:
        power = 2 if word[1].casefold().startswith("s") else 3
    return (unit[0], power), unit[1]
