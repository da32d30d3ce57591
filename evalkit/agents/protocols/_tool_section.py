"""The tools in a system prompt, in the Hermes form: signatures as JSON, and the tags of a call."""

from __future__ import annotations

import json
from collections.abc import Sequence

from evalkit.agents.protocols._hermes import CLOSE, OPEN
from evalkit.tools.base import ToolSpec


def tool_section(tools: Sequence[ToolSpec]) -> str:
    """What tools there are and how they are called."""
    signatures = "\n".join(json.dumps(tool.declaration(), ensure_ascii=False) for tool in tools)
    return "\n".join(
        [
            "# Tools",
            "The functions that you can call, one signature a line:",
            "<tools>",
            signatures,
            "</tools>",
            f"A call is a JSON object between {OPEN} and {CLOSE}:",
            OPEN,
            '{"name": "...", "arguments": {...}}',
            CLOSE,
        ]
    )
