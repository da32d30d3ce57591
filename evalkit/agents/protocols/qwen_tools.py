"""Qwen's native function calling: tools through the chat template, results under the role `tool`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from evalkit.agents.protocols._hermes import find_calls, has_answer
from evalkit.agents.protocols.base import ParsedCall, Protocol, Reply
from evalkit.records import CallStatus, Observation
from evalkit.tools.base import ToolResult, ToolSpec


class QwenTools(Protocol):
    """Any number of calls a turn, each answered by a message of its own."""

    name: ClassVar[str] = "qwen_tools"
    tools: ClassVar[tuple[str, ...]] = ("python", "text_search", "image_search")
    native_tools: ClassVar[bool] = True
    observation_role: ClassVar[str] = "tool"

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str:
        """None: the template writes the tool section, and the family needs no more."""
        return ""

    def parse(self, text: str) -> Reply:
        """Calls if there are any, else the end."""
        return Reply(calls=find_calls(text), answered=has_answer(text))

    def observe(self, call: ParsedCall, result: ToolResult) -> Observation:
        """The result's text, then its error, then its images."""
        lines = [result.text] if result.text else []
        if result.status is not CallStatus.OK:
            lines.append(f"error: {result.error}")
        if not lines and not result.images:
            lines.append("The code ran and printed nothing.")
        return Observation(text="\n".join(lines), images=result.images)
