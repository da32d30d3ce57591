"""What follows a turn that gave no answer: a protocol is told how the turn ended and says how to go on."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from evalkit.agents.protocols.calls import Reply
from evalkit.records import StopReason, ToolCall


class Step(StrEnum):
    """How a trajectory goes on after a turn."""

    GO_ON = "go_on"
    """The results are shown and the next turn follows; END where nothing ran."""
    AGAIN = "again"
    """The turn is taken out of the conversation and asked for again."""
    RESTART = "restart"
    """The conversation begins anew, with new tool sessions: a further try."""
    FALL_BACK = "fall_back"
    """The question is asked once more, in a conversation of its own without tools (`Protocol.fallback`)."""
    END = "end"
    """The trajectory is over."""


class TurnEnd(msgspec.Struct, frozen=True, kw_only=True):
    """A turn that is over, and what went before it.

    Attributes:
        reply: as the protocol read it.
        ran: its calls were run or refused, so that there are results to show; never in a try's last turn, and not
            for calls that the token limit cut off.
        calls: the turn's calls with what became of them; those that could not be run have status NOT_RUN.
        images: that these calls gave and that can be shown.
        cut: the generation was ended by its token limit.
        turn: 0-based, in this try; turns that were taken out count.
        last: no turn is left in this try, so that GO_ON and AGAIN are END.
        tries: conversations that were begun before this one.
        calls_so_far: emitted in this try, this turn's included.
        images_so_far: in the conversation, the sample's and those of this turn included.
    """

    reply: Reply
    ran: bool = False
    calls: tuple[ToolCall, ...] = ()
    images: int = 0
    cut: bool = False
    turn: int = 0
    last: bool = False
    tries: int = 0
    calls_so_far: int = 0
    images_so_far: int = 0


class After(msgspec.Struct, frozen=True):
    """What a protocol wants after a turn.

    Attributes:
        step: see `Step`.
        why: one line; it is recorded with each turn that is taken out, and with an end that `stop` names.
        temperature: for AGAIN and RESTART: in place of the run's, of all generations from here on but FALL_BACK's.
        stop: for END: the reason to record; None for what the turn itself says (ended, cut off, out of turns).
    """

    step: Step
    why: str = ""
    temperature: float | None = None
    stop: StopReason | None = None
