"""Protocols: how a model family is asked, how it calls tools, how it is shown results.

One file a family; `PROTOCOLS` is the list, by the name that model cards and `--protocol` use.
"""

from __future__ import annotations

from evalkit.agents.protocols.base import Protocol, Reply
from evalkit.agents.protocols.direct import Direct
from evalkit.agents.protocols.metis import Metis
from evalkit.agents.protocols.qwen_tools import QwenTools
from evalkit.errors import unknown

PROTOCOLS: dict[str, type[Protocol]] = {kind.name: kind for kind in (Metis, QwenTools, Direct)}


def protocol(name: str) -> Protocol:
    """The protocol called `name`.

    Raises:
        EvalkitError: there is none; the message has the nearest names.
    """
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS, "evalkit models")
    return PROTOCOLS[name]()


__all__ = ["PROTOCOLS", "Direct", "Metis", "Protocol", "QwenTools", "Reply", "protocol"]
