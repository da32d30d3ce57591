"""Chat-completions JSON: a `Request` to a request body, a reply to a `Completion`. Pure functions."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from evalkit.engines.base import Completion, Message, Request, cut_at_stop
from evalkit.images import ImageFile
from evalkit.records import Timing, Usage

_encoder = msgspec.json.Encoder()
_NEUTRAL = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "presence_penalty": 0.0, "repetition_penalty": 1.0}
_ABORTED = frozenset({"abort", "error"})
_WITH_USAGE = {"include_usage": True}
NO_TIMING = Timing()


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """What a server understands beyond OpenAI's own API.

    Attributes:
        returns_stop: `include_stop_str_in_output` (vLLM and servers like it).
        keeps_stop: `no_stop_trim` (SGLang).
        tools_as_text: with `tool_choice: "none"` the tools stay in the prompt, and calls come as the
            model wrote them (vLLM).
        has_own_defaults: what a request leaves out comes from the model folder's generation config
            (vLLM, SGLang), so a neutral value has to be said.
        schemas: `response_format` with a JSON schema; taken for granted until it is refused.
    """

    returns_stop: bool = False
    keeps_stop: bool = False
    tools_as_text: bool = False
    has_own_defaults: bool = False
    schemas: bool = True

    @classmethod
    def of(cls, card: dict[str, Any]) -> Dialect:
        """The dialect that a model's entry in `/models` gives away."""
        owner = str(card.get("owned_by", "")).lower()
        return cls(
            returns_stop=owner in ("vllm", "sglang") or "max_model_len" in card,
            keeps_stop=owner == "sglang",
            tools_as_text=owner == "vllm",
            has_own_defaults=owner in ("vllm", "sglang"),
        )


class BadReplyError(ValueError):
    """A reply with status 200 that is no completion; `raw` is the JSON of the error in it, if there is one."""

    def __init__(self, reason: str, raw: bytes = b"") -> None:
        super().__init__(reason)
        self.raw = raw


class Function(msgspec.Struct):
    """A function's name and its arguments, as JSON text or as an object."""

    name: str = ""
    arguments: Any = ""


class Call(msgspec.Struct):
    """A tool call in a reply."""

    function: Function = msgspec.field(default_factory=Function)


class Said(msgspec.Struct):
    """The message in a reply."""

    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[Call] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None


class Choice(msgspec.Struct):
    """One of a reply's choices: what was said, and why it ended (`stop_reason` in vLLM, `matched_stop` in SGLang)."""

    message: Said
    finish_reason: str | None = None
    stop_reason: Any = None
    matched_stop: Any = None


class _Reply(msgspec.Struct):
    choices: list[Choice] = []
    usage: Any = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Reply)


def by_data(image: ImageFile, url: str) -> dict[str, Any]:
    """The content part of an image that is sent in full, as every server takes it."""
    return {"type": "image_url", "image_url": {"url": url}}


def encode(
    request: Request,
    model: str,
    dialect: Dialect,
    part: Callable[[ImageFile, str], dict[str, Any]] = by_data,
    stream: bool = False,
    fields: Mapping[str, Any] | None = None,
) -> tuple[bytes, bytes, list[ImageFile]]:
    """The request's JSON with a marker where each image's data URL belongs.

    Args:
        request: what is asked.
        model: the server's name for the model.
        dialect: what the server understands.
        part: gives an image's content part; it leaves the URL out where the server has the image already.
        stream: ask for the reply in pieces.
        fields: of the server's own API, sent beside evalkit's and never in place of them.

    Returns:
        The JSON, the marker (random and drawn after the texts were written, so that no text can
        hold it), and the images to be put in, in the order of their markers.

    Raises:
        UnicodeEncodeError: a text holds lone surrogates, which JSON cannot carry.
    """
    marker = secrets.token_hex(16)
    images: list[ImageFile] = []
    tool_messages = 0
    messages: list[dict[str, Any]] = []
    for message in request.messages:
        entry: dict[str, Any] = {"role": message.role, "content": _content(message, marker, images, part)}
        if message.role == "tool":
            tool_messages += 1
            entry["tool_call_id"] = f"call_{tool_messages}"
        messages.append(entry)
    body: dict[str, Any] = {**(fields or {}), "model": model, "messages": messages, "max_tokens": request.max_tokens}
    if dialect.has_own_defaults:
        body.update(_NEUTRAL)
    for name in request.sampling.__struct_fields__:
        if (value := getattr(request.sampling, name)) is not None:
            body[name] = value
    if request.continues:
        body["add_generation_prompt"] = False
        body["continue_final_message"] = True
    if request.stop:
        body["stop"] = request.stop
        if dialect.returns_stop:
            body["include_stop_str_in_output"] = True
        if dialect.keeps_stop:
            body["no_stop_trim"] = True
    if request.schema is not None and dialect.schemas:
        form = {"name": "reply", "strict": True, "schema": request.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    if stream:
        body["stream"] = True
        body["stream_options"] = _WITH_USAGE
    if request.tools:
        body["tools"] = request.tools
        body["tool_choice"] = "none" if dialect.tools_as_text else "auto"
    return _encoder.encode(body), marker.encode(), images


def _content(
    message: Message, marker: str, images: list[ImageFile], part_of: Callable[[ImageFile, str], dict[str, Any]]
) -> str | list[dict[str, Any]]:
    if not message.images:
        # A plain string is what every server and chat template takes, whatever the role.
        return message.text
    content: list[dict[str, Any]] = []
    for part in message.parts:
        if isinstance(part, ImageFile):
            shown = part_of(part, marker)
            if shown["image_url"] is not None and shown["image_url"]["url"] is marker:
                images.append(part)
            content.append(shown)
        elif part:
            content.append({"type": "text", "text": part})
    return content


def decode(raw: bytes, stop: tuple[str, ...], timing: Timing = NO_TIMING) -> Completion:
    """The completion in a reply's body; `retries` is left to the caller.

    Reasoning that the server parsed out comes back as `<think>...</think>` before the text (left
    open when the generation ended inside it), structured tool calls as Hermes `<tool_call>` blocks
    behind it, so that a protocol reads one form whatever the server parses.

    Args:
        raw: body of a reply with status 200.
        stop: stop strings of the request; a text that one of them ended is returned with it.
        timing: put into the completion.

    Raises:
        BadReplyError: the body is no completion.
    """
    try:
        reply = _decoder.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadReplyError(f"reply is not a completion ({error})") from None
    if reply.error is not None:
        raise BadReplyError("reply holds an error", raw)
    if not reply.choices:
        raise BadReplyError("reply has no choices")
    return complete(reply.choices[0], reply.usage, stop, timing)


def complete(choice: Choice, usage: Any, stop: tuple[str, ...], timing: Timing) -> Completion:
    """The completion that a whole choice makes; see `decode`.

    Raises:
        BadReplyError: the server broke the generation off.
    """
    finish = choice.finish_reason or ""
    if finish in _ABORTED:
        raise BadReplyError(f"reply was cut short by the server (finish_reason {finish!r})")
    said = choice.message
    text = said.content if isinstance(said.content, str) else joined(said.content)
    if not text and said.refusal:
        text = said.refusal
    for call in said.tool_calls or ():
        text += ("\n" if text and not text.endswith("\n") else "") + _hermes(call.function)
    hit = choice.stop_reason if isinstance(choice.stop_reason, str) else choice.matched_stop
    text = _with_stop(text, stop, finish, hit)
    if thought := said.reasoning_content or said.reasoning:
        closed = text or finish != "length"
        text = f"<think>{thought}</think>\n{text}" if closed else f"<think>{thought}"
    return Completion(text=text, finish_reason=finish, usage=_usage(usage), timing=timing)


def joined(parts: list[dict[str, Any]] | None) -> str:
    """The text of a message whose content is a list of parts."""
    return "".join(part["text"] for part in parts or () if isinstance(part.get("text"), str))


def _hermes(function: Function) -> str:
    # Arguments are kept as the model wrote them: broken ones must reach the protocol as broken.
    raw = function.arguments
    arguments = raw.strip() or "{}" if isinstance(raw, str) else _encoder.encode(raw or {}).decode()
    name = _encoder.encode(function.name).decode()
    return f'<tool_call>\n{{"name": {name}, "arguments": {arguments}}}\n</tool_call>'


def _with_stop(text: str, stop: tuple[str, ...], finish: str, hit: Any) -> str:
    """`text` up to the stop string that ended it, put back where the server left it out."""
    if not stop:
        return text
    if any(mark in text for mark in stop):
        return cut_at_stop(text, stop)
    if finish != "stop":
        return text
    if isinstance(hit, str) and hit in stop:
        return text + hit
    if len(stop) == 1 and stop[0].startswith("</"):
        opening = "<" + stop[0][2:]
        if opening in text:
            return text + stop[0]
    return text


def _usage(value: Any) -> Usage:
    if not isinstance(value, dict):
        return Usage()
    details = value.get("prompt_tokens_details")
    return Usage(
        prompt_tokens=_count(value.get("prompt_tokens")),
        completion_tokens=_count(value.get("completion_tokens")),
        image_tokens=_count(details.get("image_tokens")) if isinstance(details, dict) else None,
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
