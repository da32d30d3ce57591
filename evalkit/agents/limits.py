"""What one trajectory may use."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one trajectory; reaching one is an outcome, not an error.

    Attributes:
        turns: generations at most; a call in the last one is not run (`limit_turns`).
        turn_tokens: tokens of one generation.
        trajectory_tokens: tokens added to the conversation after the prompt, observations included.
        seconds: the agent's own time: generations (without queueing, where the engine can tell it apart)
            and tool calls. It is looked at after each of them, so that an engine that never answers is an
            engine's error and not the agent's slowness.
        images: images in the conversation; further ones are withheld and the model is told so.
        observation_chars: characters of one observation; the end is kept, as Metis does.
    """

    turns: int = 11
    turn_tokens: int = 4096
    trajectory_tokens: int = 16_384
    seconds: float = 900.0
    images: int = 32
    observation_chars: int = 32_000
