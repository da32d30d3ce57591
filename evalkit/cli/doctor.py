"""`evalkit doctor`: what works on this machine, and what to do about what does not."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor")(doctor)


def doctor(
    sandbox: Annotated[str, typer.Option(help="Which sandbox to examine: local, docker:IMAGE or jupyter.")] = "local",
    stress: Annotated[
        int, typer.Option(min=0, help="Also keep N sessions alive at once and time their starts and calls.")
    ] = 0,
) -> None:
    """Examine the sandbox (by attacking it from inside), the engines' needs and the disk."""
    import uvloop

    from evalkit.cli._doctor import examine

    code = uvloop.run(examine(sandbox, stress))
    if code:
        raise typer.Exit(int(code))
