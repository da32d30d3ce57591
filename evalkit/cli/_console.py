"""What goes to a terminal: results, diagnostics, and text that must not be obeyed."""

from __future__ import annotations

import sys
from typing import NoReturn

from rich.console import Console as RichConsole
from rich.markup import escape

from evalkit.errors import one_line


class Console(RichConsole):
    """A console without highlighting or emoji codes that leaves a closed pipe to `main`."""

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

    def on_broken_pipe(self) -> NoReturn:
        """Let the exit code be chosen in one place."""
        raise BrokenPipeError


def plain(text: object, limit: int = 300) -> str:
    """`text` on one line, without control characters, and inert as console markup."""
    return escape(one_line(text, limit))
