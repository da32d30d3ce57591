"""Chat-completions JSON: a `Request` to a request body, a reply to a `Completion`. Pure functions."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from evalkit.engines.base import Completion, Message, Request, cut_at_stop
from evalkit.images import ImageFile
from evalkit.records import Usage

_encoder = msgspec.json.Encoder()
_NEUTRAL = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "presence_penalty": 0.0, "repetition_penalty": 1.0}
_ABORTED = frozenset({"abort", "error"})


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """What a server understands beyond OpenAI's own API.

    Attributes:
        returns_stop: `include_stop_str_in_output` (vLLM and servers like it).
        keeps_stop: `no_stop_trim` (SGLang).
        tools_as_text: with `tool_choice: "none"` the tools stay in the prompt, and calls come as the
            model wrote them (vLLM).
        has_own_defaults: what a request leaves out comes from the model folder's generation config
            (vLLM, SGLang), so a neutral value has to be said.
    """

    returns_stop: bool = False
    keeps_stop: bool = False
    tools_as_text: bool = False
    has_own_defaults: bool = False

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
    """A reply with status 200 that is no completion."""


class _Function(msgspec.Struct):
    name: str = ""
    arguments: Any = ""


class _Call(msgspec.Struct):
    function: _Function = msgspec.field(default_factory=_Function)


class _Said(msgspec.Struct):
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[_Call] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Said
    finish_reason: str | None = None
    stop_reason: Any = None
    matched_stop: Any = None


class _Reply(msgspec.Struct):
    choices: list[_Choice] = []
    usage: Any = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Reply)


def encode(request: Request, model: str, dialect: Dialect) -> tuple[bytes, bytes, list[ImageFile]]:
    """The request's JSON with a marker where each image's data URL belongs.

    Returns:
        The JSON, the marker (random and drawn after the texts were written, so that no text can
        hold it), and the images in the order of their markers.

    Raises:
        UnicodeEncodeError: a text holds lone surrogates, which JSON cannot carry.
    """
    marker = secrets.token_hex(16)
    images: list[ImageFile] = []
    tool_messages = 0
    messages: list[dict[str, Any]] = []
    for message in request.messages:
        entry: dict[str, Any] = {"role": message.role, "content": _content(message, marker, images)}
        if message.role == "tool":
            tool_messages += 1
            entry["tool_call_id"] = f"call_{tool_messages}"
        messages.append(entry)
    body: dict[str, Any] = {"model": model, "messages": messages, "max_tokens": request.max_tokens}
    if dialect.has_own_defaults:
        body.update(_NEUTRAL)
    for name in request.sampling.__struct_fields__:
        if (value := getattr(request.sampling, name)) is not None:
            body[name] = value
    if request.stop:
        body["stop"] = request.stop
        if dialect.returns_stop:
            body["include_stop_str_in_output"] = True
        if dialect.keeps_stop:
            body["no_stop_trim"] = True
    if request.tools:
        body["tools"] = request.tools
        body["tool_choice"] = "none" if dialect.tools_as_text else "auto"
    return _encoder.encode(body), marker.encode(), images


def _content(message: Message, marker: str, images: list[ImageFile]) -> str | list[dict[str, Any]]:
    if not message.images:
        # A plain string is what every server and chat template takes, whatever the role.
        return message.text
    content: list[dict[str, Any]] = []
    for part in message.parts:
        if isinstance(part, ImageFile):
            images.append(part)
            content.append({"type": "image_url", "image_url": {"url": marker}})
        elif part:
            content.append({"type": "text", "text": part})
    return content


def decode(raw: bytes, stop: tuple[str, ...]) -> Completion:
    """The completion in a reply's body; `retries` and `timing` are left to the caller.

    Reasoning that the server parsed out comes back as `<think>...</think>` before the text (left
    open when the generation ended inside it), structured tool calls as Hermes `<tool_call>` blocks
    behind it, so that a protocol reads one form whatever the server parses.

    Args:
        raw: body of a reply with status 200.
        stop: stop strings of the request; a text that one of them ended is returned with it.

    Raises:
        BadReplyError: the body is no completion.
    """
    try:
        reply = _decoder.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadReplyError(f"reply is not a completion ({error})") from None
    if not reply.choices:
        raise BadReplyError("reply has no choices")
    choice = reply.choices[0]
    finish = choice.finish_reason or ""
    if reply.error is not None or finish in _ABORTED:
        raise BadReplyError(f"reply was cut short by the server (finish_reason {finish!r})")
    said = choice.message
    text = said.content if isinstance(said.content, str) else _joined(said.content)
    if not text and said.refusal:
        text = said.refusal
    for call in said.tool_calls or ():
        text += ("\n" if text and not text.endswith("\n") else "") + _hermes(call.function)
    hit = choice.stop_reason if isinstance(choice.stop_reason, str) else choice.matched_stop
    text = _with_stop(text, stop, finish, hit)
    if thought := said.reasoning_content or said.reasoning:
        closed = text or finish != "length"
        text = f"<think>{thought}</think>\n{text}" if closed else f"<think>{thought}"
    return Completion(text=text, finish_reason=finish, usage=_usage(reply.usage))


def _joined(parts: list[dict[str, Any]] | None) -> str:
    return "".join(part["text"] for part in parts or () if isinstance(part.get("text"), str))


def _hermes(function: _Function) -> str:
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
