"""What goes to a terminal: results, diagnostics, and text that must not be obeyed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NoReturn

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment

from evalkit.cli._inert import inert
from evalkit.errors import one_line


class Console(RichConsole):
    """A console without highlighting or emoji codes that leaves a closed pipe to `main`.

    Whatever it is given to print, no character of it acts on a terminal, and no line is a command to GitHub Actions.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        # a notebook's stream says that it is a terminal, and cannot draw a line anew
        notebook = type(sys.stdout).__module__.partition(".")[0] == "ipykernel"
        super().__init__(
            stderr=stderr,
            highlight=False,
            emoji=False,
            force_jupyter=False,
            force_terminal=False if notebook else None,
        )

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of text that are printed; styles and movements of the cursor are the console's own."""
        for segment in super().render(renderable, options):
            if segment.control is None and (text := inert(segment.text)) != segment.text:
                yield segment._replace(text=text)
            else:
                yield segment

    def on_broken_pipe(self) -> NoReturn:
        """Let the exit code be chosen in one place."""
        raise BrokenPipeError


def plain(text: object, limit: int = 300) -> str:
    """`text` on one line, without control characters, and inert as console markup."""
    return escape(one_line(text, limit))
