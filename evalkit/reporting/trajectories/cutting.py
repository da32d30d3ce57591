"""Long texts cut, with how much is left out."""

from __future__ import annotations

from evalkit.reporting.trajectories.detail import Text

TEXT = 6000
"""Characters of a question, of a stretch of the model's text, and of code."""
OBSERVATION = 3000
"""Characters of what a tool gave, and of a prompt."""
ARGUMENT = 1000
"""Characters of an argument, of an option, and of an answer."""
TRAJECTORY = 60_000
"""Characters of all texts of one trajectory."""
_TAIL = 0.3


class Scissors:
    """Cuts the texts of one trajectory, which together have no more than `TRAJECTORY` characters."""

    def __init__(self) -> None:
        self._left = TRAJECTORY

    def cut(self, text: str, limit: int) -> Text:
        """The start of `text` and its end, which is where a traceback and a conclusion stand."""
        limit = self._grant(text, limit)
        if len(text) <= limit:
            return Text(text=text)
        tail = int(limit * _TAIL)
        return Text(text=text[: limit - tail], left=len(text) - limit, tail=text[-tail:] if tail else "")

    def start(self, text: str, limit: int) -> str:
        """The start of `text` alone."""
        return text[: self._grant(text, limit)]

    def _grant(self, text: str, limit: int) -> int:
        limit = min(limit, self._left)
        self._left -= min(limit, len(text))
        return limit
