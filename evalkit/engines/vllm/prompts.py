"""From a request to what vLLM takes: a conversation with images by id, and sampling parameters. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.engines.base import Message, Request
from evalkit.images import ImageFile


def conversation(request: Request, pictures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages in vLLM's chat form.

    Args:
        request: what is asked.
        pictures: decoded images (PIL) by content digest. An image that is not among them goes by its id alone,
            which is enough while vLLM's processor cache holds it.
    """
    messages: list[dict[str, Any]] = []
    results = 0
    for message in request.messages:
        entry: dict[str, Any] = {"role": message.role, "content": _content(message, pictures)}
        if message.role == "tool":
            results += 1
            entry["tool_call_id"] = f"call_{results}"
        messages.append(entry)
    return messages


def _content(message: Message, pictures: Mapping[str, Any]) -> str | list[dict[str, Any]]:
    if not message.images:
        return message.text
    parts: list[dict[str, Any]] = []
    for part in message.parts:
        if isinstance(part, ImageFile):
            id = part.header.sha256
            parts.append({"type": "image_pil", "image_pil": pictures.get(id), "uuid": id})
        elif part:
            parts.append({"type": "text", "text": part})
    return parts


def template_arguments(request: Request) -> dict[str, Any]:
    """What the chat template is given beside the messages."""
    goes_on = request.continues
    arguments: dict[str, Any] = {"add_generation_prompt": not goes_on, "continue_final_message": goes_on}
    return {**arguments, "tools": list(request.tools)} if request.tools else arguments


def sampling_parameters(request: Request, room: int) -> dict[str, Any]:
    """Arguments of vLLM's `SamplingParams`: every field that changes a draw is said, so that no default applies.

    Args:
        request: what is asked.
        room: tokens that the context leaves.
    """
    sampling = request.sampling
    return {
        "n": 1,
        "temperature": sampling.temperature,
        "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
        "top_k": 0 if sampling.top_k is None else sampling.top_k,
        "min_p": 0.0,
        "presence_penalty": sampling.presence_penalty or 0.0,
        "frequency_penalty": 0.0,
        "repetition_penalty": sampling.repetition_penalty or 1.0,
        "seed": sampling.seed,
        "stop": list(request.stop) or None,
        "include_stop_str_in_output": True,
        "max_tokens": min(request.max_tokens, room),
        "skip_special_tokens": True,
    }
