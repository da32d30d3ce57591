"""The official prompt of a row: a hint on the form of the answer, the question, and the choices.

The five hints are part of the published protocol, as the data set's `query` column and `query.json` have them
(lupantech/MathVista@53d5258); a prompt that differs from them by a byte is another prompt.
"""

from __future__ import annotations

from collections.abc import Mapping

TEXT, INTEGER, FLOAT, LIST = "text", "integer", "float", "list"

Kind = tuple[str, int | None]
"""Answer type and, for a float, the number of decimal places."""

HINTS: Mapping[Kind, str] = {
    (TEXT, None): "Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.",
    (INTEGER, None): "Please answer the question requiring an integer answer and provide the final value, "
    "e.g., 1, 2, 3, at the end.",
    (FLOAT, 1): "Please answer the question requiring a floating-point number with one decimal place "
    "and provide the final value, e.g., 1.2, 1.3, 1.4, at the end.",
    (FLOAT, 2): "Please answer the question requiring a floating-point number with two decimal places "
    "and provide the final value, e.g., 1.23, 1.34, 1.45, at the end.",
    (LIST, None): "Please answer the question requiring a Python list as an answer and provide the final list, "
    "e.g., [1, 2, 3], [1.2, 1.3, 1.4], at the end.",
}


def query(kind: Kind, question: str, unit: str, choices: Mapping[str, str]) -> str:
    """The text that a model is shown.

    Args:
        kind: a key of `HINTS`.
        question: as the row has it, line breaks included.
        unit: what the answer is counted in, "" for none.
        choices: letter to text, in order; empty for a free-form question.
    """
    lines = [f"Hint: {HINTS[kind]}", f"Question: {question}" + (f" (Unit: {unit})" if unit else "")]
    if choices:
        lines += ["Choices:", *(f"({letter}) {text}" for letter, text in choices.items())]
    # five official texts end where the row's question or last choice has a space more
    return "\n".join(lines).strip()


def kind_of(text: str) -> Kind | None:
    """The kind of answer that a prompt's hint asks for; None where it starts with none of the hints."""
    return next((kind for kind, hint in HINTS.items() if text.startswith(f"Hint: {hint}\nQuestion: ")), None)
