"""Skywork-R1V4 (30B-A3B; repository SkyworkAI/Skywork-R1V): its authors' server runs the model and its tools.

What comes back is one response with the whole trajectory in it: <think>, <tool_call> (a JSON object with "name" and
"arguments"), <observation> (a JSON object with "result" and "type"), and at the end <think> and <answer>. The layout is
the authors'. Weights, prompt, sandbox and limits are not public: nothing of them is set here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from evalkit.agents.protocols import _hermes
from evalkit.agents.protocols._blocks import Blocks
from evalkit.agents.protocols.base import ParsedCall, Protocol, Reply
from evalkit.engines.base import Part
from evalkit.records import CallStatus, Observation, Timing, ToolCall, Turn, Usage
from evalkit.tools.base import ToolResult, ToolSpec

_THINK, _CALL, _RESULT, _ANSWER = "think", "tool_call", "observation", "answer"
_BLOCKS = Blocks(_THINK, _CALL, _RESULT, _ANSWER, open_ended=(_CALL,), unnested=(_THINK,))
_UNTOLD = Timing(generate_s=0.0, tool_s=None)
_FREE = Usage(prompt_tokens=0, completion_tokens=0, image_tokens=0)


class SkyworkR1V4(Protocol):
    """One request a sample. The calls in the response have been run: each turn of it is recorded as one."""

    name: ClassVar[str] = "skywork_r1v4"
    server_tools: ClassVar[tuple[str, ...]] = ("code", "text_search", "image_search", "web_visit")
    observation_role: ClassVar[str] = "assistant"
    quirks: ClassVar[Mapping[str, str]] = {
        "first_answer": "the first answer tag after the last result counts, inside of reasoning too",
    }

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str:
        """None: the server has the model's own."""
        return ""

    def parse(self, text: str) -> Reply:
        """Calls and the answer, outside of reasoning and of results."""
        blocks = list(_BLOCKS.read(text))
        calls = tuple(_read(block.inside, closed=block.closed) for block in blocks if block.kind == _CALL)
        return Reply(calls=calls, answered=any(block.kind == _ANSWER for block in blocks))

    def unfold(self, turn: Turn) -> tuple[Turn, ...]:
        """A turn for each time that results came back, and a last one for what follows them.

        Results are the calls' in their order. How long they took is not told, nor is which of them failed; a call
        without a result did not run. Tokens and time of the whole response are the last turn's.
        """
        told: list[_Told] = []
        now, space = _Told(), ""
        for block in _BLOCKS.read(turn.text):
            if block.kind == _RESULT:
                now.text.append(space)
                now.results.append(block.inside)
                space = ""
                continue
            if now.results and not block.kind and block.inside.isspace():
                space = block.inside
                continue
            if now.results:
                told.append(now)
                now = _Told()
            now.text += [space, turn.text[block.start : block.end]]
            space = ""
            if block.kind == _CALL:
                now.calls.append(_read(block.inside, closed=block.closed))
        if now.results:
            told.append(now)
            now = _Told()
        now.text.append(space)
        if not told:
            return (turn,)
        first, *others = (one.turn() for one in told)
        first = msgspec.structs.replace(first, shown=turn.shown)
        timing = msgspec.structs.replace(turn.timing, tool_s=None)
        last = msgspec.structs.replace(turn, text="".join(now.text), timing=timing, shown=())
        return (first, *others, last)

    def fold(self, turns: Sequence[Turn]) -> tuple[Turn, ...]:
        """The response that these turns came from."""
        if len(turns) < 2:
            return tuple(turns)
        text = "".join(self._written(turn) for turn in turns)
        return (msgspec.structs.replace(turns[-1], text=text, shown=turns[0].shown),)

    def _written(self, turn: Turn) -> str:
        results = (f"<{_RESULT}>{observation.text}</{_RESULT}>" for observation in turn.observations)
        return "".join([turn.text, *results])

    def show(self, observation: Observation) -> tuple[Part, ...]:
        """As the server shows it to the model."""
        return (f"<{_RESULT}>{observation.text}</{_RESULT}>",)

    def observe(self, call: ParsedCall, result: ToolResult) -> Observation:
        """Unused: no tool ever runs here."""
        raise AssertionError("the tools of Skywork-R1V4 run at its server")

    def final(self, text: str, *, fallback: bool = False) -> str:
        """The text after the last result; under `first_answer` its first answer tag."""
        return (_hermes.first_answer(text) or text) if "first_answer" in self.quirks_on else text


class _Told:
    """One turn of a response: what the model wrote, and the results that followed."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.calls: list[ParsedCall] = []
        self.results: list[str] = []

    def turn(self) -> Turn:
        calls = tuple(_recorded(call, place < len(self.results)) for place, call in enumerate(self.calls))
        observations = tuple(Observation(text=result) for result in self.results)
        return Turn(text="".join(self.text), calls=calls, observations=observations, usage=_FREE, timing=_UNTOLD)


def _read(raw: str, *, closed: bool) -> ParsedCall:
    if not closed:
        return ParsedCall(tool="", raw=raw.strip(), error=f"{_hermes.CLOSE} is missing")
    return _hermes.read_call(raw.strip())


def _recorded(call: ParsedCall, shown: bool) -> ToolCall:
    status = CallStatus.MALFORMED if call.error else CallStatus.OK if shown else CallStatus.NOT_RUN
    return ToolCall(
        tool=call.tool,
        raw=call.raw,
        arguments=call.arguments,
        status=status,
        seconds=None if status is CallStatus.OK else 0.0,
        error=call.error or ("" if shown else "the response has no result of it"),
    )
