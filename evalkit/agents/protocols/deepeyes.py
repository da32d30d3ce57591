"""DeepEyes (Qwen2.5-VL-7B; arXiv 2505.14362; repository Visual-Agent/DeepEyes): zooms by a box in pixels.

The facts (tags, the tool and its arguments, box frame, layout of results, sizes) are those of the authors'
evaluation scripts; the prompts are evalkit's own. Always, as these scripts have it: the first call of a turn counts,
it may be JSON or a Python literal (they use `eval`; no code is run here), crops are of the first image as it is
stored, boxes have no least size, an answer ends the conversation also beside a call. What their scripts do by accident,
and other than the authors' training does, are quirks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import ClassVar

import msgspec

from evalkit.agents.protocols import _hermes
from evalkit.agents.protocols._layout import images_after
from evalkit.agents.protocols._literal import literal_as_json
from evalkit.agents.protocols._pixels import resized, runner_size
from evalkit.agents.protocols._tool_section import tool_section
from evalkit.agents.protocols.after import After, Step, TurnEnd
from evalkit.agents.protocols.base import ParsedCall, Protocol, Reply
from evalkit.engines.base import Part
from evalkit.engines.pixels import PixelBudget
from evalkit.images import ImageFile
from evalkit.records import CallStatus, Observation
from evalkit.tools.base import Tool, ToolResult, ToolSpec
from evalkit.tools.boxes import BoxRule, Frame
from evalkit.tools.zoom import ZoomSpec, ZoomTool

TOOL = "image_zoom_in_tool"
_PATCH = 28
_OPEN, _CLOSE = "<tool_response>", "</tool_response>"
_FORM = "Reason between <think> and </think> first. Then give the final answer between <answer> and </answer>"


class DeepEyes(Protocol):
    """One call a turn; the crop comes back inside a response tag, with the reminder of the form."""

    name: ClassVar[str] = "deepeyes"
    tools: ClassVar[tuple[str, ...]] = (TOOL,)
    quirks: ClassVar[Mapping[str, str]] = {
        "first_answer": "what follows the first opening answer tag counts, inside of reasoning and calls too",
        "resend": "a turn with neither call nor answer is asked for again, unchanged, until the turns are used up",
        "failure_ends": "a call that fails ends the sample; nothing is told to the model",
        "black_outside": "what of a box lies outside of the image is black, in place of the box being cut to the image",
    }
    zoom: ClassVar[ZoomSpec] = ZoomSpec(
        name=TOOL,
        description="Shows a part of the image larger.",
        box=BoxRule(frame=Frame.PIXELS),
        box_about="The part: [left, top, right, bottom] in pixels of the original image.",
        label=True,
    )
    conclude: ClassVar[str] = (
        "No further tool call is possible. Give your final answer now, from what you have, "
        "between <answer> and </answer>."
    )
    budget: ClassVar[PixelBudget] = PixelBudget(factor=_PATCH, min_pixels=4 * _PATCH**2, max_pixels=16384 * _PATCH**2)

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str:
        """The task, the form of a turn, and the tool if it is there."""
        lines = ["You answer questions about an image.", ""]
        if not tools:
            return "\n".join([*lines, f"{_FORM}."])
        return "\n".join([*lines, _reminder(), "", tool_section(tools)])

    def parse(self, text: str) -> Reply:
        """The first call; an answer ends the trajectory whatever else is there."""
        answered = has_answer(text)
        return Reply(calls=tuple(islice(_calls(text), 1)), answered=answered, last=answered)

    def equip(self, tool: Tool) -> Tool:
        """Under `black_outside`, boxes may reach beyond the image."""
        if "black_outside" not in self.quirks_on or not isinstance(tool, ZoomTool):
            return tool
        rule = msgspec.structs.replace(tool.zoom.box, clamp=False)
        return ZoomTool(msgspec.structs.replace(tool.zoom, box=rule))

    def observe(self, call: ParsedCall, result: ToolResult) -> Observation:
        """The crop and the reminder inside the tags, or why there is none."""
        if result.status is not CallStatus.OK:
            return Observation(text=f"Error: {result.error}")
        return Observation(text=f"{_OPEN}\n{_reminder()}\n{_CLOSE}", images=result.images)

    def show(self, observation: Observation) -> tuple[Part, ...]:
        """The crop stands right behind the opening tag."""
        return images_after(observation, _OPEN)

    def after(self, end: TurnEnd) -> After:
        """Results are shown, failures too; a turn with nothing to do is the last. See the quirks."""
        if "failure_ends" in self.quirks_on and end.ran and end.calls[0].status is not CallStatus.OK:
            return After(Step.END)
        if "resend" in self.quirks_on and not end.calls and not end.last:
            return After(Step.AGAIN, "neither a call nor an answer")
        return super().after(end)

    def final(self, text: str, *, fallback: bool = False) -> str:
        """The whole text; under `first_answer` what the authors' scripts take of it."""
        return (first_answer(text) or text) if "first_answer" in self.quirks_on else text

    def fit(self, image: ImageFile) -> ImageFile:
        """In the size that the authors' scripts give a crop."""
        header = image.header
        return resized(image, runner_size(header.width, header.height, self.budget))


def find_calls(text: str) -> tuple[ParsedCall, ...]:
    """Every call of a response, in order.

    A call ends with its closing tag, with the next opening one, or with the response: the tag is missing where it was
    the string that stopped the generation. Of what goes on behind a JSON object, the object counts: the recorded
    runner crops it all the same.
    """
    return tuple(_calls(text))


def has_answer(text: str) -> bool:
    """Whether a complete answer tag stands outside the calls."""
    said = text.partition(_hermes.OPEN)[0] + "".join(rest for _, rest in _pieces(text))
    return _hermes.first_answer(said) is not None


def first_answer(text: str) -> str | None:
    """What the authors' scripts take, in its tags: from the first opening answer tag to the next tag of either kind.

    None where one of the two tags is not in the text: then they take the whole.
    """
    if _hermes.ANSWER_OPEN not in text or _hermes.ANSWER_CLOSE not in text:
        return None
    answer = text.split(_hermes.ANSWER_OPEN)[1].partition(_hermes.ANSWER_CLOSE)[0].strip()
    return f"{_hermes.ANSWER_OPEN}{answer}{_hermes.ANSWER_CLOSE}"


def _reminder() -> str:
    return f"{_FORM}, or call {TOOL} between {_hermes.OPEN} and {_hermes.CLOSE} if a detail is too small to see."


def _calls(text: str) -> Iterator[ParsedCall]:
    return (_read(raw) for raw, _ in _pieces(text))


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """What stands in each call, and what stands between it and the next."""
    for piece in text.split(_hermes.OPEN)[1:]:
        raw, closed, rest = piece.partition(_hermes.CLOSE)
        whole = None if closed else _first_object(piece.lstrip())
        yield raw.strip(), rest if whole is None else piece.lstrip()[len(whole) :]


def _read(raw: str) -> ParsedCall:
    call = _hermes.read_call(raw)
    if not call.error:
        return call
    text = literal_as_json(raw) or _first_object(raw)
    read = call if text is None else _hermes.read_call(text)
    return call if read.error else msgspec.structs.replace(read, raw=raw)


def _first_object(raw: str) -> str | None:
    """The JSON object that a text starts with."""
    if not raw.startswith("{"):
        return None
    try:
        return raw[: json.JSONDecoder().raw_decode(raw)[1]]
    except (ValueError, RecursionError):
        return None
