"""The engine of rollouts: it draws from the very model that is being trained, and keeps the tokens that it drew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from collections.abc import Sequence as Sequences
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import transformers

from evalkit.engines.base import Completion, Request
from evalkit.engines.transformers.batching import Job
from evalkit.engines.transformers.decoding import Decoder, Drawn, Notes
from evalkit.engines.transformers.engine import TransformersEngine, rows_of
from evalkit.engines.transformers.inputs import InputBuilder, Prepared
from evalkit.errors import EngineError
from evalkit.training.positions import shared_positions
from evalkit.training.prefill import CannotShareError, shared_prefill
from evalkit.training.rollout import Sequence
from evalkit.training.sequences import Spoken, sequences_of
from evalkit.training.vision import Features, Vision, placeholders
from evalkit.training.wrapping import bare


@dataclass(frozen=True)
class _Row:
    """See `vision.Pictures`."""

    media: dict[str, torch.Tensor]
    image_keys: tuple[str, ...]


class PolicyEngine(TransformersEngine):
    """A transformers engine on a live model; nothing is loaded but the tokenizer and the image processor.

    The tokens of every request are kept, with the log-probabilities of the draw, until they are taken. Training may
    change the model between requests; the engine leaves it as it found it (training mode, generation defaults).

    Args:
        model: of the transformers library, on its device; may be wrapped. A compiled or parallel wrapper is left out.
        weights: folder or hub id that its tokenizer and processor come from.
        revision: hub revision; None is the default branch.
        max_batch: requests a batch, at most; lowered when memory is short.
        min_pixels: replaces the image processor's lower bound on an image's pixels.
        max_pixels: replaces its upper bound.
    """

    def __init__(
        self,
        model: Any,
        weights: str,
        *,
        revision: str | None = None,
        max_batch: int = 64,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
    ) -> None:
        super().__init__(
            weights=weights, revision=revision, max_batch=max_batch, min_pixels=min_pixels, max_pixels=max_pixels
        )
        self._model = bare(model)
        self._vision = Vision(self._model)
        self._placeholders = placeholders(self._model)
        self._shares = True
        self._features: Features | None = None
        self._spoken: dict[str, dict[int, Spoken]] = {}

    async def generate(self, request: Request) -> Completion:
        """Continue the conversation; see `TransformersEngine`.

        Raises:
            EngineError: the sampling narrows the distribution, so that what is drawn is not the policy's own.
        """
        if _narrowed(request):
            raise EngineError("a policy draws from its whole distribution: leave out top_p, top_k and penalties")
        return await super().generate(request)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Promise that the model is not trained inside: what was computed of an image or a prompt then serves again.

        At the end, what nobody has taken is forgotten.
        """
        assert isinstance(self._inputs, _Shared)
        self._features = Features()
        self._inputs.keep(True)
        try:
            yield
        finally:
            self._features = None
            self._inputs.keep(False)
            self._spoken.clear()

    def take(self, key: str) -> tuple[Sequence, ...]:
        """The sequences of the trajectory called `key`, which are forgotten here."""
        spoken = self._spoken.pop(key, {})
        return sequences_of([spoken[turn] for turn in sorted(spoken)])

    def _load(self) -> dict[str, Any]:
        self._inputs = _Shared(self._weights, self._revision, self._model, *self._pixels)
        self._decoder = Decoder(self._model, self._inputs.tokenizer, torch.no_grad)
        return {
            "kind": "policy",
            "weights": self._weights,
            "revision": self._revision,
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "device": str(self._model.device),
            "route": self._inputs.route,
            "torch": str(torch.__version__),
            "transformers": transformers.__version__,
        }

    def _run(self, jobs: Sequences[Job[Prepared]]) -> list[Completion]:
        try:
            drawn = self._draw(jobs, share=self._shares)
        except CannotShareError:
            self._shares = False
            drawn = self._draw(jobs, share=False)
        for job, each in zip(jobs, drawn, strict=True):
            self._note(job, each)
        return [each.completion for each in drawn]

    def _draw(self, jobs: Sequences[Job[Prepared]], share: bool) -> list[Drawn]:
        assert self._decoder is not None
        pictures = [_Row(job.prepared.media, _contents(job.request)) for job in jobs]
        share = share and self._vision.tells_apart(pictures)
        # equal prompts have inputs that were built once
        kinds = {id(job.prepared): at for at, job in reversed([*enumerate(jobs)])} if share else {}
        first = sorted(kinds.values()) if share else [*range(len(jobs))]
        index = [first.index(kinds[id(job.prepared)]) for job in jobs] if share else first
        with (
            _evaluating(self._model),
            shared_positions(self._model, [len(row.image_keys) for row in pictures]),
            shared_prefill(self._model, first, index),
            self._vision.inputs(pictures, self._features, first) as media,
        ):
            return self._decoder.draw(rows_of(jobs), media, Notes(self._placeholders))

    def _note(self, job: Job[Prepared], drawn: Drawn) -> None:
        prepared = job.prepared
        self._spoken.setdefault(job.request.key, {})[job.request.turn] = Spoken(
            prompt=prepared.tokens["input_ids"][0],
            per_token={name: value[0] for name, value in prepared.tokens.items() if name != "input_ids"},
            media=prepared.media,
            image_keys=_contents(job.request),
            tokens=drawn.tokens,
            logprobs=drawn.logprobs,
        )


class _Shared(InputBuilder):
    """Inputs of equal conversations are built once, while that is wanted: the rollouts of a prompt begin alike."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._built: dict[Any, Future[Prepared]] | None = None
        self._guard = threading.Lock()

    def keep(self, wanted: bool) -> None:
        """Keep inputs from now on; or forget them, and keep none."""
        with self._guard:
            self._built = {} if wanted else None

    def build(self, request: Request) -> Prepared:
        """See `InputBuilder`."""
        with self._guard:
            if self._built is None:
                found, mine = None, False
            else:
                key = _content(request)
                found = self._built.get(key)
                if mine := found is None:
                    found = self._built[key] = Future()
        if found is None:
            return super().build(request)
        if mine:
            try:
                found.set_result(super().build(request))
            except BaseException as error:
                found.set_exception(error)
        return found.result()


def _content(request: Request) -> Any:
    messages = tuple(
        (m.role, *(part if isinstance(part, str) else (part.header.sha256,) for part in m.parts))
        for m in request.messages
    )
    return messages, tuple(str(tool) for tool in request.tools), request.max_tokens


def _contents(request: Request) -> tuple[str, ...]:
    return tuple(image.header.sha256 for message in request.messages for image in message.images)


def _narrowed(request: Request) -> bool:
    s = request.sampling
    return bool(s.top_k) or (s.top_p or 1.0) < 1.0 or (s.repetition_penalty or 1.0) != 1.0 or bool(s.presence_penalty)


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """The model without dropout; afterwards every part of it is in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    if training:
        model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
