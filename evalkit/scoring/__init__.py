"""Scoring: answer extraction and comparison, deterministic, never a guess."""

from evalkit.scoring.choice import NO_CHOICE, choose, score_choice
from evalkit.scoring.equivalence import TIMEOUT, equivalent
from evalkit.scoring.extract import ANSWER_TAG, BOXED, CUE, FINAL, JSON, NONE, WHOLE, Extraction, extract
from evalkit.scoring.free_form import NO_LIST, NO_NUMBER, OTHER_UNIT, PERCENT, SCALE, score_list, score_number
from evalkit.scoring.lists import read_list
from evalkit.scoring.number import Quantity, read_number, read_quantity

__all__ = [
    "ANSWER_TAG",
    "BOXED",
    "CUE",
    "FINAL",
    "JSON",
    "NONE",
    "NO_CHOICE",
    "NO_LIST",
    "NO_NUMBER",
    "OTHER_UNIT",
    "PERCENT",
    "SCALE",
    "TIMEOUT",
    "WHOLE",
    "Extraction",
    "Quantity",
    "choose",
    "equivalent",
    "extract",
    "read_list",
    "read_number",
    "read_quantity",
    "score_choice",
    "score_list",
    "score_number",
]
