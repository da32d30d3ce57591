"""Direct answering with reasoning in text first, for models that were trained to reason and have no tools.

Which words the authors of such models ask with differs from one to the next and is in none of evalkit's sources:
`--system-prompt FILE` uses theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from evalkit.agents.protocols.direct import Direct
from evalkit.tools.base import ToolSpec


class DirectCot(Direct):
    """One generation: reasoning, then the answer."""

    name: ClassVar[str] = "direct_cot"

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str:
        """Asks for reasoning and for the answer, each in its tag."""
        return (
            "Solve the problem about the image step by step. Write all of your reasoning between <think> and </think>, "
            "then the final answer alone between <answer> and </answer>. For a multiple-choice question the answer is "
            "the option letter."
        )
