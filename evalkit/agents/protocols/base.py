"""What a protocol is: the facts of one model family's conversation, and the little code they need."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from evalkit.agents.protocols.after import After, Step, TurnEnd
from evalkit.agents.protocols.calls import ParsedCall, Reply
from evalkit.engines.base import Part
from evalkit.errors import unknown
from evalkit.images import ImageFile
from evalkit.records import CallStatus, Observation, Sample, Turn
from evalkit.tools.base import Tool, ToolResult, ToolSpec

if TYPE_CHECKING:
    from evalkit.tools.search_sizes import SearchSizes
    from evalkit.tools.zoom import ZoomSpec

__all__ = ["ParsedCall", "Protocol", "Reply"]


class Protocol(ABC):
    """One model family's way to talk.

    Attributes:
        name: what model cards and `--protocol` use.
        version: raised when a change of prompt or parsing can change a score.
        tools: tools the family knows; a run offers those of them it has.
        server_tools: tools that the model's own server runs: they are recorded, and never offered.
        aliases: other names under which the model may call them.
        stop: strings that end a generation; the text keeps them.
        max_calls: most calls of a tool in one trajectory; further ones are blocked.
        native_tools: tools are declared through the chat template, not in the system prompt.
        observation_role: the role under which results are shown. "assistant" puts them into the model's own
            turn, which then goes on.
        names: what a code tool has imported beforehand: name to import statement.
        insist: what is added to the question where a call is required.
        insist_again: what a first turn without the required call is answered with.
        conclude: what asks for the answer at once, in the middle of a conversation with tools.
        quirks: what the authors' own code does beside the protocol and what changes results, name to one line;
            each is off unless the instance is made with its name (`--quirk NAME`, `--faithful` for all).
        zoom: how the family's zoom tool is named and how its boxes are read; None for a family without one.
        search: how much the family is shown of a search; None for the usual sizes.
        quirks_on: of an instance: the quirks that it follows.

    Args:
        quirks: names of quirks to follow.

    Raises:
        EvalkitError: the family has no such quirk.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    tools: ClassVar[tuple[str, ...]] = ()
    server_tools: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[Mapping[str, str]] = {}
    stop: ClassVar[tuple[str, ...]] = ()
    max_calls: ClassVar[Mapping[str, int]] = {}
    native_tools: ClassVar[bool] = False
    observation_role: ClassVar[str] = "user"
    names: ClassVar[Mapping[str, str]] = {}
    insist: ClassVar[str] = "Call one of the tools at least once before you answer; an answer without a call is void."
    insist_again: ClassVar[str] = "That turn has no tool call. Call one of the tools now, and answer after its result."
    quirks: ClassVar[Mapping[str, str]] = {}
    zoom: ClassVar[ZoomSpec | None] = None
    search: ClassVar[SearchSizes | None] = None
    conclude: ClassVar[str] = "No further tool call is possible. Give your final answer now, from what you have."

    def __init__(self, quirks: Collection[str] = ()) -> None:
        for name in quirks:
            if name not in self.quirks:
                raise unknown(f"quirk of protocol {self.name}", name, self.quirks, "evalkit models")
        self.quirks_on = frozenset(quirks)

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

    def show(self, observation: Observation) -> tuple[Part, ...]:
        """The observation as the model sees it: its text, then its images."""
        return (*((observation.text,) if observation.text else ()), *observation.images)

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

    def equip(self, tool: Tool) -> Tool:
        """The tool as this family's calls meet it, e.g. with images of another size, or with code rewritten."""
        return tool

    def unfold(self, turn: Turn) -> tuple[Turn, ...]:
        """The turns that a generation stands for: more than one where the server has run tools by itself.

        The last is read with `parse`; those before it are recorded as they are, with calls and observations.
        """
        return (turn,)

    def fold(self, turns: Sequence[Turn]) -> tuple[Turn, ...]:
        """The generations that recorded turns came from, to play them back: `unfold` the other way round."""
        return tuple(turns)

    def after(self, end: TurnEnd) -> After:
        """How to go on after a turn without an answer; asked where tools are offered and time and tokens are left.

        Calls have been run (all but those of the try's last turn), and none of their results is shown yet.
        """
        return After(Step.GO_ON if end.ran else Step.END)

    def fallback(self, sample: Sample) -> tuple[Part, ...]:
        """The first user turn where there are no tools: of the arm without them, and of what FALL_BACK begins."""
        return self.question(sample)

    def final(self, text: str, *, fallback: bool = False) -> str:
        """What is scored of the last turn's text; scoring itself takes the last complete answer in it.

        Args:
            text: of the turn.
            fallback: it is the reply to `fallback`.
        """
        return text
