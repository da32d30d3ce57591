"""What a protocol is: the facts of one model family's conversation, and the little code they need."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from evalkit.engines.base import Part
from evalkit.images import ImageFile
from evalkit.records import CallStatus, Observation, Sample
from evalkit.tools.base import ToolResult, ToolSpec


class ParsedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call read from the model's text.

    Attributes:
        tool: name as the model wrote it.
        arguments: parsed arguments.
        raw: the text between the call's tags.
        error: why it is malformed; empty when it is well formed.
    """

    tool: str
    raw: str
    arguments: dict[str, Any] = {}
    error: str = ""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a generation means: calls to run, or the end.

    Attributes:
        calls: in order; when there are any, the trajectory goes on after them.
        answered: whether the protocol's answer form is there.
    """

    calls: tuple[ParsedCall, ...] = ()
    answered: bool = False


class Protocol(ABC):
    """One model family's way to talk.

    Attributes:
        name: what model cards and `--protocol` use.
        version: raised when a change of prompt or parsing can change a score.
        tools: tools the family knows; a run offers those of them it has.
        aliases: other names under which the model may call them.
        stop: strings that end a generation; the text keeps them.
        max_calls: most calls of a tool in one trajectory; further ones are blocked.
        native_tools: tools are declared through the chat template, not in the system prompt.
        observation_role: the role under which results are shown.
        names: what a code tool has imported beforehand: name to import statement.
        insist: what is added to the question where a call is required.
        insist_again: what a first turn without the required call is answered with.
        conclude: what asks for the answer at once, in the middle of a conversation with tools.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    tools: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[Mapping[str, str]] = {}
    stop: ClassVar[tuple[str, ...]] = ()
    max_calls: ClassVar[Mapping[str, int]] = {}
    native_tools: ClassVar[bool] = False
    observation_role: ClassVar[str] = "user"
    names: ClassVar[Mapping[str, str]] = {}
    insist: ClassVar[str] = "Call one of the tools at least once before you answer; an answer without a call is void."
    insist_again: ClassVar[str] = "That turn has no tool call. Call one of the tools now, and answer after its result."
    conclude: ClassVar[str] = "No further tool call is possible. Give your final answer now, from what you have."

    @abstractmethod
    def system_prompt(self, tools: Sequence[ToolSpec]) -> str:
        """The system prompt in evalkit's own words; empty for none."""

    def question(self, sample: Sample) -> tuple[Part, ...]:
        """The first user turn: the images, then the question."""
        return (*sample.images, sample.question)

    @abstractmethod
    def parse(self, text: str) -> Reply:
        """Read a generation. Never raises on any text."""

    @abstractmethod
    def observe(self, call: ParsedCall, result: ToolResult) -> Observation:
        """What the model is shown of a call that ran."""

    def refuse(self, call: ParsedCall, status: CallStatus, offered: Sequence[str]) -> str:
        """What the model is shown of a call that did not run."""
        if status is CallStatus.MALFORMED:
            return f"Error: the tool call could not be read: {call.error}"
        if status is CallStatus.BLOCKED:
            return (
                f"Error: {call.tool} has been called as often as allowed. "
                "Do not call it again; answer from what you have."
            )
        return f"Error: there is no tool named {call.tool!r}. Tools: {', '.join(offered) or 'none'}."

    def fit(self, image: ImageFile) -> ImageFile | None:
        """The image as the family's tools return it; None when it cannot be shown. May take long: it decodes."""
        return image
