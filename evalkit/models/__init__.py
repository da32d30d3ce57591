"""Model cards: which weights, which protocol, which sampling, and what it takes to run them."""

from evalkit.models.card import ModelCard, Needs, Pixels, Weights, cards, find_card

__all__ = ["ModelCard", "Needs", "Pixels", "Weights", "cards", "find_card"]
