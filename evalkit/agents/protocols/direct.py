"""Direct answering: the question, no tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from evalkit.agents.protocols._hermes import find_calls, has_answer
from evalkit.agents.protocols.base import ParsedCall, Protocol, Reply
from evalkit.records import Observation
from evalkit.tools.base import ToolResult, ToolSpec


class Direct(Protocol):
    """One generation. A call that the model emits all the same is counted and never run."""

    name: ClassVar[str] = "direct"

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str:
        """Asks for the answer in its tag."""
        return (
            "Answer the question about the image. Think briefly if you need to, then give the final answer "
            "between <answer> and </answer>. For a multiple-choice question the answer is the option letter."
        )

    def parse(self, text: str) -> Reply:
        """An answer, or nothing; stray calls are kept for counting."""
        return Reply(calls=find_calls(text), answered=has_answer(text))

    def observe(self, call: ParsedCall, result: ToolResult) -> Observation:
        """Unused: no tool ever runs."""
        raise AssertionError("the direct protocol offers no tools")
