"""One batch through `model.generate`: every row ends by its own rules and draws its own random numbers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import transformers

from evalkit.engines.base import Completion, Request, cut_at_stop
from evalkit.engines.pixels import Seen
from evalkit.records import Timing, Usage

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Row:
    """One request of a batch.

    Attributes:
        request: what was asked.
        tokens: model inputs with one value a token, (1, tokens) each; `input_ids` is among them.
        media: all other model inputs (pixels, grids); rows of a batch are joined along the first axis.
        max_tokens: limit for this generation, within what the context leaves.
        image_tokens: image placeholders in the prompt.
        arrived: `time.perf_counter()` at arrival.
        abandoned: whether nobody waits any more; asked once a step.
        seen: what the processor made of the request's images.
    """

    request: Request
    tokens: Tensors
    media: Tensors
    max_tokens: int
    image_tokens: int
    arrived: float
    abandoned: Callable[[], bool]
    seen: tuple[Seen, ...] = ()


@dataclass(frozen=True)
class Drawn:
    """What became of one row.

    Attributes:
        completion: as an engine hands it out.
        tokens: those drawn, the one that ended the row included.
        logprobs: log-probability of each under the distribution that it was drawn from; None for greedy rows.
    """

    completion: Completion
    tokens: list[int]
    logprobs: list[float] | None


class Decoder:
    """Runs batches on a loaded model; used by one thread at a time.

    Args:
        model: a transformers model that can generate.
        tokenizer: its tokenizer.
        without_gradients: entered around each batch. What inference mode leaves in a model cannot be trained through.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        without_gradients: Callable[[], AbstractContextManager[Any]] = torch.inference_mode,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._without_gradients = without_gradients
        self._eos = end_tokens(model, tokenizer)
        pads = _ids(tokenizer.pad_token_id) or _ids(model.generation_config.pad_token_id) or sorted(self._eos)
        self._pad = pads[0] if pads else 0

    def run(self, rows: Sequence[Row]) -> list[Completion]:
        """Generate for all rows at once; they must agree on `Sampling` but for its seed.

        Returns:
            One completion a row, in order.
        """
        return [drawn.completion for drawn in self.draw(rows, join_media(rows), None)]

    def draw(self, rows: Sequence[Row], media: Mapping[str, torch.Tensor], notes: Notes | None) -> list[Drawn]:
        """As `run`, with the tokens.

        Args:
            rows: see `run`.
            media: the rows' media inputs, joined.
            notes: takes log-probabilities down; None where nobody wants them.
        """
        started = time.perf_counter()
        device = self._model.device
        inputs = {name: tensor.to(device) for name, tensor in {**collate(rows, self._pad), **media}.items()}
        prompt = inputs["input_ids"].shape[1]
        ends = _Ends(rows, prompt, self._eos, self._tokenizer)
        config = transformers.GenerationConfig(
            do_sample=False,
            use_cache=True,
            max_new_tokens=max(row.max_tokens for row in rows),
            pad_token_id=self._pad,
        )
        with self._without_gradients(), self._no_defaults():
            output = self._model.generate(
                **inputs,
                generation_config=config,
                stopping_criteria=transformers.StoppingCriteriaList([*([notes.after] if notes else []), ends]),
                logits_processor=_processors(rows, inputs["attention_mask"], device, notes),
            )
        generated = output[:, prompt:].tolist()
        logprobs = notes.rows() if notes and rows[0].request.sampling.temperature > 0 else None
        return [
            Drawn(
                self._completion(row, generated[i], ends, i, started),
                generated[i][: ends.lengths[i]],
                logprobs[i][: ends.lengths[i]] if logprobs is not None else None,
            )
            for i, row in enumerate(rows)
        ]

    @contextmanager
    def _no_defaults(self) -> Iterator[None]:
        """`generate` fills what a call leaves open from here, but only the request says how tokens are drawn."""
        kept, self._model.generation_config = self._model.generation_config, transformers.GenerationConfig()
        try:
            yield
        finally:
            self._model.generation_config = kept

    def _completion(self, row: Row, tokens: list[int], ends: _Ends, i: int, started: float) -> Completion:
        length = ends.lengths[i]
        text = cut_at_stop(_text(self._tokenizer, tokens[:length]), row.request.stop)
        return Completion(
            text=text,
            finish_reason=ends.reasons[i],
            usage=Usage(
                prompt_tokens=row.tokens["input_ids"].shape[1],
                completion_tokens=length,
                image_tokens=row.image_tokens,
            ),
            timing=Timing(
                queue_s=started - row.arrived,
                ttft_s=ends.first - started,
                decode_s=ends.times[i] - ends.first,
            ),
            images=row.seen,
        )


def collate(rows: Sequence[Row], pad: int) -> Tensors:
    """The rows as one batch, padded on the left.

    Returns:
        `input_ids` and `attention_mask` (rows, longest prompt), and every other input with one value a token.
    """
    lengths = [row.tokens["input_ids"].shape[1] for row in rows]
    longest = max(lengths)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for i, length in enumerate(lengths):
        mask[i, longest - length :] = 1
    batch = {"attention_mask": mask}
    for name, first in rows[0].tokens.items():
        batch[name] = first.new_full((len(rows), longest), pad if name == "input_ids" else 0)
        for i, row in enumerate(rows):
            batch[name][i, longest - lengths[i] :] = row.tokens[name][0]
    return batch


def join_media(rows: Sequence[Row]) -> Tensors:
    """The rows' media inputs, one after the other."""
    return {name: torch.cat([row.media[name] for row in rows]) for name in rows[0].media}


class Notes:
    """Takes down the log-probability of every drawn token, one batch long.

    Args:
        never: tokens that are not drawn.

    Attributes:
        before: logits processor, to stand before the one that draws.
        after: stopping criterion that stops nothing; it is asked when a token has been drawn.
    """

    def __init__(self, never: Sequence[int] = ()) -> None:
        self.never = list(never)
        self._scores = torch.empty(0)
        self._steps: list[torch.Tensor] = []
        self.before = _Before(self)
        self.after = _After(self)

    def hold(self, scores: torch.Tensor) -> None:
        """Keep the scores that the next token is drawn from; (rows, vocabulary)."""
        self._scores = scores

    def take(self, tokens: torch.Tensor) -> None:
        """Note the drawn tokens; (rows,)."""
        chosen = self._scores.gather(1, tokens[:, None])[:, 0]
        self._steps.append(chosen - self._scores.logsumexp(1))

    def rows(self) -> list[list[float]]:
        """One list a row, with a value for each step of the batch."""
        found: list[list[float]] = torch.stack(self._steps, 1).tolist()
        return found


class _Before:
    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores[:, self._notes.never] = -torch.inf
        self._notes.hold(scores)
        return scores


class _After:
    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        self._notes.take(input_ids[:, -1])
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


class _Ends:
    """Stopping criterion that ends each row by its own stop strings, token limit and abandonment.

    It looks at generated text only, never at the prompt, and notes when, where and why a row ended.
    """

    def __init__(self, rows: Sequence[Row], prompt: int, eos: frozenset[int], tokenizer: Any) -> None:
        self._rows = rows
        self._prompt = prompt
        self._eos = eos
        self._tokenizer = tokenizer
        # A token that is text has at least one byte, so a stop string lies within this many tokens; one
        # more because some tokenizers drop a leading space from what they decode.
        self._windows = [max((len(mark.encode()) + 1 for mark in row.request.stop), default=0) for row in rows]
        self._open = list(range(len(rows)))
        self.first = 0.0
        self.lengths = [0] * len(rows)
        self.times = [0.0] * len(rows)
        self.reasons = ["length"] * len(rows)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        step = input_ids.shape[1] - self._prompt
        reach = max((self._windows[i] for i in self._open), default=0)
        tails = input_ids[:, -max(1, min(reach, step)) :].tolist()
        now = time.perf_counter()
        if not self.first:
            self.first = now
        still_open = []
        for i in self._open:
            row = self._rows[i]
            if tails[i][-1] in self._eos or self._stopped(i, tails[i]):
                self.reasons[i] = "stop"
            elif step < row.max_tokens and not row.abandoned():
                still_open.append(i)
                continue
            self.lengths[i], self.times[i] = step, now
        self._open = still_open
        done = torch.ones(len(self._rows), dtype=torch.bool)
        done[still_open] = False
        return done.to(input_ids.device)

    def _stopped(self, i: int, tail: list[int]) -> bool:
        if not self._windows[i]:
            return False
        text = _text(self._tokenizer, tail[-self._windows[i] :])
        return any(mark in text for mark in self._rows[i].request.stop)


def _processors(rows: Sequence[Row], mask: torch.Tensor, device: torch.device, notes: Notes | None) -> Any:
    """What turns logits into scores whose largest is the drawn token."""
    sampling = rows[0].request.sampling
    chain: list[Any] = []
    repetition, presence = sampling.repetition_penalty or 1.0, sampling.presence_penalty or 0.0
    if repetition != 1.0 or presence != 0.0:
        chain.append(_Penalties(repetition, presence, mask))
    if sampling.temperature > 0:
        chain.append(transformers.TemperatureLogitsWarper(sampling.temperature))
        if sampling.top_k is not None and sampling.top_k > 0:
            chain.append(transformers.TopKLogitsWarper(sampling.top_k))
        if sampling.top_p is not None and sampling.top_p < 1.0:
            chain.append(transformers.TopPLogitsWarper(sampling.top_p))
    if notes is not None:
        chain.append(notes.before)
    if sampling.temperature > 0:
        chain.append(_Draw([_seed(row.request) for row in rows], device))
    return transformers.LogitsProcessorList(chain)


class _Penalties:
    """Repetition penalty (prompt and output) and presence penalty (output only) as vLLM defines them.

    The library's own processor also counts padding, which would make a row depend on its neighbours.
    """

    def __init__(self, repetition: float, presence: float, mask: torch.Tensor) -> None:
        self._repetition = repetition
        self._presence = presence
        self._mask = mask
        self._seen: torch.Tensor | None = None
        self._written: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self._seen is None or self._written is None:
            counts = torch.zeros_like(scores)
            counts.scatter_add_(1, input_ids, self._mask.to(scores.dtype))
            self._seen, self._written = counts > 0, torch.zeros_like(scores, dtype=torch.bool)
        else:
            self._seen.scatter_(1, input_ids[:, -1:], True)
            self._written.scatter_(1, input_ids[:, -1:], True)
        damped = torch.where(scores > 0, scores / self._repetition, scores * self._repetition)
        return torch.where(self._seen, damped, scores) - self._presence * self._written


class _Draw:
    """Adds Gumbel noise, so that the largest score is a draw from the softmax of the scores.

    A seeded row has a generator of its own: its noise is the same whatever it is batched with.
    """

    def __init__(self, seeds: Sequence[int | None], device: torch.device) -> None:
        self._generators = {
            i: torch.Generator(device).manual_seed(seed) for i, seed in enumerate(seeds) if seed is not None
        }

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        waits = torch.empty_like(scores).exponential_()
        for i, generator in self._generators.items():
            waits[i].exponential_(generator=generator)
        return scores - waits.clamp_min(torch.finfo(scores.dtype).tiny).log()


def _seed(request: Request) -> int | None:
    """The row's own seed: were it the run's alone, all samples would share their luck and err together."""
    if request.sampling.seed is None:
        return None
    name = f"{request.sampling.seed}\0{request.key}\0{request.turn}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def _text(tokenizer: Any, tokens: list[int]) -> str:
    return str(tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end a generation: of the model's generation defaults, and the tokenizer's own."""
    return frozenset(_ids(model.generation_config.eos_token_id) + _ids(tokenizer.eos_token_id))


def _ids(value: int | Sequence[int] | None) -> list[int]:
    if value is None:
        return []
    return [value] if isinstance(value, int) else list(value)
