from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scoring import read_number, read_quantity
from tests.unit.pathological import FORMULAS, RESPONSES


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", "12"), ("-12", "-12"), ("+12", "12"), ("−3.5", "-7/2"), ("–5", "-5"), ("minus 5", "-5"), (".5", "1/2"),
        ("-.5", "-1/2"), ("5.", "5"), ("007", "7"), ("14.0", "14"), ("１２", "12"), ("－１２．５", "-25/2"), ("٣", "3"),
        ("1,234", "1234"), ("1 234", "1234"), ("1'234", "1234"), ("1\u202f234\u202f567", "1234567"),
        ("12{,}000", "12000"),
        ("1\\,234", "1234"), ("1,000,000.50", "2000001/2"), ("12,5", "25/2"), ("3,14", "157/50"), ("0,125", "1/8"),
        ("1e3", "1000"), ("2.5E-2", "1/40"), ("1.2×10^3", "1200"), ("1.2 x 10^{-3}", "3/2500"), ("10^3", "1000"),
        ("$1.2\\times 10^{3}$", "1200"), ("3×10³", "3000"), ("10⁻²", "1/100"), ("2*10^2", "200"),
        ("3/4", "3/4"), ("1 1/2", "3/2"), ("-1 1/2", "-3/2"), ("\\frac{3}{4}", "3/4"), ("$\\dfrac12$", "1/2"),
        ("-\\frac{1}{2}", "-1/2"), ("2\\frac{1}{2}", "5/2"), ("½", "1/2"), ("2½", "5/2"),
        ("50%", "50"), ("50 percent", "50"), ("50\\%", "50"), ("$5", "5"), ("\\$5.50", "11/2"), ("-$5", "-5"),
        ("€5", "5"),
        ("¥ 500", "500"), ("45°", "45"), ("$45^{\\circ}$", "45"), ("45 degrees", "45"), ("25°C", "25"),
        ("12 years old", "12"), ("5 cm", "5"), ("5cm", "5"), ("5 cm^2", "5"), ("12 m²", "12"), ("60 km/h", "60"),
        ("9.8 m/s^2", "49/5"), ("\\text{12 cm}", "12"), ("12\\text{ cm}", "12"), ("12~\\mathrm{kg}", "12"),
        ("3 more", "3"),
        ("about 12", "12"), ("approximately 12.5 meters", "25/2"), ("≈12", "12"), ("~12", "12"), ("= 12", "12"),
        ("x = 12", "12"), ("3 + 4 = 7", "7"), ("2\\sqrt{3} \\approx 3.46", "173/50"), ("a total of 5", "5"),
        ("12.", "12"), ("(12)", "12"), ("[12]", "12"), ("**12**", "12"), ("`12`", "12"), ('"12"', "12"),
        ("12 (approx.)", "12"),
        ("\u200b12", "12"), ("8&nbsp;cm", "8"), ("three", "3"), ("Three apples", "3"), ("twenty-five", "25"),
        ("Forty two", "42"), ("5 million", "5000000"), ("two dozen", "24"), ("zero", "0"),
    ],
)  # fmt: skip
def test_read(text: str, value: str) -> None:
    assert read_number(text) == Fraction(value)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "-", "+", ".", ",", "e5", "5e", "1e5.5", "10^2.5", "1/0", "\\frac{1}{0}", "1/2/3", "1.2.3", "1,23,4",
        "1.234,5", "3-5", "3–5", "3 - 5", "3 to 5", "between 3 and 5", "3 or 4", "3, 4", "5 and 6", "3±1",
        "12 out of 20",
        "> 3", "<3", "≥ 3", "\\geq 3", "at least 3", "more than 3", "up to 3", "less than 3", "3 at most", "5+",
        "2020-01-05", "5/6/2020", "12:30", "5 May", "May 5", "5 pm", "3rd", "21st", "1990s", "5k", "5K", "5!", "5x",
        "2x",
        "4A", "2\\pi", "2 pi", "3 squared", "1 half", "two thirds", "2 hours 30 minutes", "5'6\"", "45° 30'", "3 x 4",
        "x = 3, y = 5", "x = 3 or x = 5", "5 = x", "a 5", "a", "B12", "figure 3", "- 5", "one of them", "no",
        "none", "nan",
        "inf", "Infinity", "1e999999999", "2011-12", "1\n2", "5; 6", "two three", "5 three", "twenty-fifth", "2×105",
    ],
)  # fmt: skip
def test_not_read(text: str) -> None:
    assert read_number(text) is None


def test_a_percentage_keeps_its_sign_as_its_unit() -> None:
    for text in ("50%", "50 %", "50 percent", "50% of them"[:3]):
        quantity = read_quantity(text)
        assert quantity is not None
        assert (quantity.value, quantity.unit) == (50, "%")


def test_the_unit_is_the_words_behind_the_number() -> None:
    quantity = read_quantity("about 12 years old.")
    assert quantity is not None
    assert (quantity.value, quantity.unit, quantity.scale) == (12, "years old", 1)


def test_a_scale_word_multiplies_and_is_kept() -> None:
    quantity = read_quantity("141.5 billion US dollars")
    assert quantity is not None
    assert (quantity.value, quantity.unit, quantity.scale) == (141_500_000_000, "US dollars", 10**9)


def test_the_unit_asked_for_may_be_no_known_word() -> None:
    assert read_number("5 x") is None
    assert read_number("5 x", unit="x") == 5


def test_beyond_three_hundred_characters_nothing_is_a_number() -> None:
    assert read_number("12" + " " * 299) is None


@given(st.integers(-(10**30), 10**30))
def test_inverse_of_writing_an_integer(value: int) -> None:
    for text in (
        str(value),
        f"{value:,}",
        f"{value:_}".replace("_", " "),
        f"${value}$",
        f"\\boxed{{{value}}}",
        f"{value} cm",
    ):
        assert read_number(text) == value


@given(st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=6))
def test_inverse_of_writing_a_decimal(value: object) -> None:
    exact = Fraction(str(value))
    for text in (f"{value:f}", f"{value:,f}", f"≈ {value:f} m", f"x = {value:f}", f"**{value:f}**."):
        assert read_number(text) == exact


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-200, max_value=1e200))
def test_inverse_of_writing_a_float(value: float) -> None:
    for text in (f"{value:e}", f"{value:.12e}", "{}\\times 10^{{{}}}".format(*f"{value:.9e}".split("e"))):
        mantissa, _, exponent = text.replace("\\times 10^{", "e").rstrip("}").partition("e")
        assert read_number(text) == Fraction(mantissa) * Fraction(10) ** int(exponent)


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_inverse_of_writing_a_fraction(top: int, bottom: int) -> None:
    for text in (f"{top}/{bottom}", f"\\frac{{{top}}}{{{bottom}}}", f"$\\dfrac{{{top}}}{{{bottom}}}$"):
        assert read_number(text) == Fraction(top, bottom)


@given(st.text())
def test_no_text_raises(text: str) -> None:
    read_number(text)
    read_number(text, unit=text[:5])


PIECES = [
    "1",
    "12",
    ",",
    ".",
    "-",
    "/",
    "\\frac",
    "{",
    "}",
    "10^",
    "e",
    "×",
    " ",
    "cm",
    "%",
    "=",
    "$",
    "(",
    ")",
    "three",
    "½",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_no_broken_numeral_raises_and_the_answer_is_always_the_same(text: str) -> None:
    assert read_number(text) == read_number(text)


@pytest.mark.parametrize("name", [*FORMULAS])
def test_hopeless_texts_are_no_numbers(name: str) -> None:
    assert read_number(FORMULAS[name]) is None


@pytest.mark.parametrize("name", [*RESPONSES])
def test_hopeless_responses_are_no_numbers(name: str) -> None:
    assert read_number(RESPONSES[name]) is None


@pytest.mark.parametrize(
    "text",
    ["5 eighths", "three eighths", "3 hundredths", "12 factorial", "12 (million)", "7 is wrong", "7 maybe", "7 no",
     "7 (maybe)", "7 (or more)", "x=12,y=3", "x=12 y=3", "12, y = 3", "USD", "36 (6^2)"],
)  # fmt: skip
def test_a_word_or_bracket_that_changes_the_number(text: str) -> None:
    assert read_number(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("2 dozens", 24), ("5 millions", 5_000_000), ("12 €", 12), ("USD 12", 12), ("approx. 12", 12), ("ca. 12", 12),
     ("12 is the final answer", 12), ("12 (only)", 12), ("AB = 5 m = 500 cm", 500)],
)  # fmt: skip
def test_words_and_signs_that_keep_the_number(text: str, value: int) -> None:
    assert read_number(text) == value
