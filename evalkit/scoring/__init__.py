"""Scoring: answer extraction and comparison, deterministic, never a guess."""

from evalkit.scoring.choice import NO_CHOICE, choose, score_choice
from evalkit.scoring.extract import ANSWER_TAG, BOXED, CUE, NONE, WHOLE, Extraction, extract

__all__ = [
    "ANSWER_TAG",
    "BOXED",
    "CUE",
    "NONE",
    "NO_CHOICE",
    "WHOLE",
    "Extraction",
    "choose",
    "extract",
    "score_choice",
]
