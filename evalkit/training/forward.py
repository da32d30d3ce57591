"""Log-probabilities of what was written, with gradients: one stock forward pass of the model over a padded batch."""

from __future__ import annotations

import inspect
from collections.abc import Sequence as Sequences
from typing import Any, NamedTuple

import torch
from torch.nn.utils.rnn import pad_sequence

from evalkit.errors import EvalkitError
from evalkit.training.positions import shared_positions
from evalkit.training.rollout import Sequence
from evalkit.training.vision import Vision, placeholders
from evalkit.training.wrapping import bare


class TokenLogprobs(NamedTuple):
    """What a model says of sequences that are written already; all are (sequences, longest length).

    Attributes:
        logprobs: float32; log-probability of each written token given all before it, 0 elsewhere. Has gradients.
        mask: bool; where a written token stands.
        entropy: float32; of the distribution that each written token is from, in nats, 0 elsewhere. No gradients.
    """

    logprobs: torch.Tensor
    mask: torch.Tensor
    entropy: torch.Tensor


def token_logprobs(model: Any, sequences: Sequences[Sequence], temperature: float = 1.0) -> TokenLogprobs:
    """Log-probabilities of all written tokens, under the logits divided by `temperature`.

    Placeholders of images have no probability, since `PolicyEngine` never draws one.

    Equal images of the batch are encoded once, and their gradients add up as if each were encoded on its own. Logits
    are computed at the positions that some sequence needs, where the model can do that.

    Args:
        model: of the transformers library; may be wrapped (torch's parallel modules, accelerate, peft). Call it under
            `torch.no_grad()` where no gradients are wanted.
        sequences: at least one; on any device.
        temperature: above 0; that of the draw, for training on rollouts.

    Raises:
        EvalkitError: there is no sequence, or one that begins with a written token.
    """
    if not sequences:
        raise EvalkitError("log-probabilities of no sequence were asked for")
    if any(bool(sequence.written[0]) for sequence in sequences):
        raise EvalkitError("a sequence begins with a written token: it has no prompt, so its probability is unknown")
    inner = bare(model)
    device = inner.device
    tokens = _padded([sequence.tokens for sequence in sequences])
    written = _padded([sequence.written for sequence in sequences])
    inputs = {
        "input_ids": tokens,
        "attention_mask": _padded([torch.ones_like(sequence.tokens) for sequence in sequences]),
        **{name: _padded([s.per_token[name] for s in sequences]) for name in sequences[0].per_token},
    }
    row, place = written.nonzero(as_tuple=True)
    asked, at = torch.unique(place - 1, return_inverse=True)
    options: dict[str, Any] = {"use_cache": False}
    if "logits_to_keep" in inspect.signature(inner.forward).parameters:
        options["logits_to_keep"] = asked.to(device)
    else:
        at = place - 1
    images = [len(sequence.image_keys) for sequence in sequences]
    with shared_positions(model, images), Vision(model).inputs(sequences) as media:
        moved = {name: tensor.to(device, non_blocking=True) for name, tensor in {**inputs, **media}.items()}
        logits = model(**moved, **options).logits
    row, place, at, tokens, written = (tensor.to(logits.device) for tensor in (row, place, at, tokens, written))
    scores = logits[row, at].float() / temperature
    # as in the draw; not infinite, which would make the entropy undefined
    scores[:, placeholders(inner)] = -1e30
    normaliser = scores.logsumexp(-1)
    drawn = scores.gather(-1, tokens[row, place][:, None])[:, 0] - normaliser
    with torch.no_grad():
        entropy = normaliser - ((scores - normaliser[:, None]).exp() * scores).sum(-1)
    blank = torch.zeros(tokens.shape, dtype=torch.float32, device=logits.device)
    return TokenLogprobs(blank.index_put((row, place), drawn), written, blank.index_put((row, place), entropy))


def _padded(rows: list[torch.Tensor]) -> torch.Tensor:
    """Rows of unlike lengths as one batch; what is added on the right is 0, which no earlier token can see."""
    return pad_sequence(rows, batch_first=True)
