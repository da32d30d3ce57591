"""Notes of a run that a report must recognise; all others are a reader's alone."""

from __future__ import annotations

from collections.abc import Sequence

_NO_ISOLATION = "the model's code runs WITHOUT ISOLATION"
_NOT_OFFERED = "not offered to the model: no provider is configured"


def no_isolation(tier: str) -> str:
    """What is said of a sandbox that does not isolate."""
    return (
        f"{_NO_ISOLATION} (sandbox tier {tier}): it can read this user's files and reach the network; run models you "
        "do not trust in a container"
    )


def not_offered(tools: Sequence[str]) -> str:
    """What is said of tools that the protocol names and nobody provides."""
    return f"{', '.join(tools)} {_NOT_OFFERED}"


def is_no_isolation(note: str) -> bool:
    """Whether it is `no_isolation`."""
    return note.startswith(_NO_ISOLATION)


def is_not_offered(note: str) -> bool:
    """Whether it is `not_offered`."""
    return note.endswith(_NOT_OFFERED)
