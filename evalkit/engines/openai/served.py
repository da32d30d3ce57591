"""Which of a server's models is meant, or why none can be used: the answer to GET /models, read."""

from __future__ import annotations

from typing import Any

import msgspec

from evalkit.engines.openai.auth import Credentials
from evalkit.engines.openai.retry import server_message
from evalkit.errors import EvalkitError, InfrastructureError, one_line, unknown


def choose(url: str, wanted: str | None, credentials: Credentials, status: int, raw: bytes) -> dict[str, Any]:
    """The model's entry in the server's list; only its name where the server has no list.

    Args:
        url: what was asked, for messages.
        wanted: the model's name; None takes the only one.
        credentials: what the server was shown.
        status: of the answer.
        raw: its body.

    Raises:
        InfrastructureError: the server does not work.
        EvalkitError: the key, the URL or the model's name is wrong.
    """
    message = one_line(credentials.redact(server_message(raw)), 200)
    if status in (401, 403):
        how = (
            f"the server refuses the key in {credentials.variable}"
            if credentials.present
            else f"the server wants a key: set the environment variable {credentials.variable}"
        )
        raise EvalkitError(f"{url}: {how} ({status}: {message})")
    if status in (404, 405):
        if wanted is None:
            raise EvalkitError(f"{url}: the server lists no models ({status}): give the model's name")
        return {"id": wanted}
    if status != 200:
        raise InfrastructureError(f"{url}: the server does not work ({status}: {message})")
    cards = _cards(raw)
    if cards is None:
        raise EvalkitError(f"{url} is no list of models: does base_url lack its /v1? It begins: {message[:80]}")
    if wanted is None:
        if len(cards) != 1:
            names = one_line(credentials.redact(", ".join(sorted(cards)))) or "none"
            raise EvalkitError(f"{url}: give the model's name; served are: {names}")
        wanted = next(iter(cards))
    if wanted not in cards:
        raise unknown("model", wanted, [one_line(credentials.redact(name), 80) for name in cards], f"GET {url}")
    return cards[wanted]


def _cards(raw: bytes) -> dict[str, dict[str, Any]] | None:
    """The entries of a model list by name; None if it is none."""
    try:
        entries = msgspec.json.decode(raw)["data"]
        return {card["id"]: card for card in entries if isinstance(card["id"], str)}
    except (msgspec.MsgspecError, ValueError, RecursionError, TypeError, KeyError):
        return None
