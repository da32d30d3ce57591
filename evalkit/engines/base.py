"""What an engine is: something that continues a conversation with images."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import msgspec

from evalkit.engines.pixels import Seen
from evalkit.images import ImageFile
from evalkit.records import Timing, Usage

Part = str | ImageFile


class Message(msgspec.Struct, frozen=True):
    """One message of a conversation.

    Attributes:
        role: "system", "user", "assistant" or "tool".
        parts: texts and images in the order in which the model sees them.
    """

    role: str
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def images(self) -> tuple[ImageFile, ...]:
        """The image parts, in order."""
        return tuple(part for part in self.parts if isinstance(part, ImageFile))


class Sampling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How tokens are drawn. Temperature 0 is greedy; None is neutral.

    A model folder's own generation defaults never apply: transformers, vLLM and SGLang are told the
    neutral value. Other servers fill in what a request leaves out as they please.
    """

    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One generation.

    Attributes:
        messages: the whole conversation so far. Where the last is the assistant's, the generation goes on in it.
        sampling: see `Sampling`.
        max_tokens: limit for this generation.
        stop: strings that end the generation. Every engine returns the text *with* the stop
            string that ended it, so that a protocol sees the same text from each.
        tools: JSON function declarations (OpenAI form) for models that take tools through their
            chat template; empty for text protocols.
        key: names the trajectory ("sample/arm/repeat"), for engines that route or replay.
        turn: 0-based turn of the trajectory.
        schema: JSON schema that the text should follow; a server that knows none answers without, and engines in
            this process do. Whoever asks checks the text all the same.
    """

    messages: tuple[Message, ...]
    sampling: Sampling
    max_tokens: int
    stop: tuple[str, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    key: str = ""
    turn: int = 0
    schema: dict[str, Any] | None = None

    @property
    def continues(self) -> bool:
        """Whether the model goes on in its own last message, instead of beginning a new one."""
        return bool(self.messages) and self.messages[-1].role == "assistant"


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. `timing.generate_s` is left to the caller; `retries` counts repeated tries.

    `images` has what the processor made of each image of the request, in order; empty where the engine does
    not know.
    """

    text: str
    finish_reason: str = "stop"
    usage: Usage = Usage()
    timing: Timing = Timing()
    retries: int = 0
    images: tuple[Seen, ...] = ()


@runtime_checkable
class Engine(Protocol):
    """The seam behind which every model sits. `start` before the first request, `close` at the end."""

    async def start(self) -> dict[str, Any]:
        """Load or reach the model.

        Returns:
            What the run records of the engine: kind, served model, versions, device. JSON values.
            "identity", if there, tells apart what would answer differently (the served model, a
            commit, a digest) and is part of the run's configuration.

        Raises:
            EvalkitError: it cannot be used, and what to do about it.
        """
        ...

    async def generate(self, request: Request) -> Completion:
        """Continue the conversation.

        Raises:
            ContextLengthError: the conversation does not fit.
            EngineUnavailableError: no request can succeed any more.
            EngineError: this request failed for good.
        """
        ...

    async def close(self) -> None:
        """Free everything; safe to call twice."""
        ...


def cut_at_stop(text: str, stop: tuple[str, ...]) -> str:
    """`text` up to and including the first stop string in it."""
    ends = [(at, len(mark)) for mark in stop if (at := text.find(mark)) >= 0]
    if not ends:
        return text
    at, length = min(ends)
    return text[: at + length]
