"""Model cards: which weights, which protocol, which sampling, and what it takes to run them."""

from evalkit.models.card import (
    IN_PROCESS,
    Judge,
    Mark,
    ModelCard,
    Needs,
    Pixels,
    VllmArgs,
    Weights,
    cards,
    find_card,
)

__all__ = [
    "IN_PROCESS",
    "Judge",
    "Mark",
    "ModelCard",
    "Needs",
    "Pixels",
    "VllmArgs",
    "Weights",
    "cards",
    "find_card",
]
