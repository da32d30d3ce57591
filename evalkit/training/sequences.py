"""From turns to sequences: as few as the conversation allows, so that each token is learned once and in its place."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Sequences
from dataclasses import dataclass

import torch

from evalkit.training.rollout import Sequence


@dataclass(frozen=True)
class Spoken:
    """One turn as the model met it.

    Attributes:
        prompt: (length,) int64; all that it read.
        per_token: further inputs with one value a token of the prompt.
        media: all other inputs of the prompt.
        image_keys: content of each image of the prompt.
        tokens: what it wrote.
        logprobs: of `tokens`; None where they are not known.
    """

    prompt: torch.Tensor
    per_token: Mapping[str, torch.Tensor]
    media: Mapping[str, torch.Tensor]
    image_keys: tuple[str, ...]
    tokens: list[int]
    logprobs: list[float] | None


def sequences_of(turns: Sequences[Spoken]) -> tuple[Sequence, ...]:
    """The sequences of one trajectory.

    A turn goes on in the sequence before it if its prompt begins with that, token by token and image by image.
    """
    found: list[Sequence] = []
    for turn in turns:
        before = found[-1] if found else None
        if before is not None and _goes_on(before, turn):
            found[-1] = _spoken(turn, before)
        else:
            found.append(_spoken(turn, None))
    return tuple(found)


def _goes_on(before: Sequence, turn: Spoken) -> bool:
    length = len(before.tokens)
    return (
        len(turn.prompt) >= length
        and turn.image_keys[: len(before.image_keys)] == before.image_keys
        and (before.logprobs is None) == (turn.logprobs is None)
        and torch.equal(turn.prompt[:length], before.tokens)
    )


def _spoken(turn: Spoken, before: Sequence | None) -> Sequence:
    new, prompt = len(turn.tokens), len(turn.prompt)
    tokens = torch.cat([turn.prompt, turn.prompt.new_tensor(turn.tokens)])
    written = torch.zeros(prompt + new, dtype=torch.bool)
    written[prompt:] = True
    logprobs = None if turn.logprobs is None else torch.zeros(prompt + new)
    if logprobs is not None and turn.logprobs is not None:
        logprobs[prompt:] = torch.tensor(turn.logprobs)
    if before is not None:
        written[: len(before.written)] = before.written
        if logprobs is not None and before.logprobs is not None:
            logprobs[: len(before.logprobs)] = before.logprobs
    # what is written is text: in no model's inputs has a text token another value than 0
    per_token = {name: torch.cat([value, value.new_zeros(new)]) for name, value in turn.per_token.items()}
    return Sequence(tokens, written, logprobs, per_token, turn.media, turn.image_keys)
