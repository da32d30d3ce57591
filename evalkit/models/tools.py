"""Which tools a model was trained with, and where each of them comes from."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from evalkit.agents.protocols import PROTOCOLS
from evalkit.models.card import ModelCard

SEARCHES = ("text_search", "image_search")


class Provider(StrEnum):
    """What a tool takes."""

    SANDBOX = "sandbox"
    """A sandbox for code on this machine."""
    NOTHING = "nothing"
    """Evalkit has it."""
    SEARCH = "search"
    """A search provider that the user names; without one the tool is not offered."""
    SERVER = "server"
    """The model's own server runs it."""


class KnownTool(msgspec.Struct, frozen=True):
    """A tool by the name that the protocol has for it, and what it takes."""

    name: str
    provider: Provider


def tools_of(card: ModelCard) -> tuple[KnownTool, ...]:
    """The card's tools, as its protocol has them; none for a protocol that does not exist."""
    kind = PROTOCOLS.get(card.protocol)
    if kind is None:
        return ()
    own = [KnownTool(name, _provider(name)) for name in kind.tools if card.tools is None or name in card.tools]
    return (*own, *(KnownTool(name, Provider.SERVER) for name in kind.server_tools))


def _provider(name: str) -> Provider:
    if name in SEARCHES:
        return Provider.SEARCH
    return Provider.SANDBOX if name == "python" else Provider.NOTHING
