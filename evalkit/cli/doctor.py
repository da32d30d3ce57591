"""`evalkit doctor`: what works on this machine, and what to do about what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli._data_options import TaskDirs
from evalkit.cli._remote import out_folder


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor")(doctor)


def doctor(
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Also start this model's engine and ask it something.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="As for evalkit run.")] = None,
    base_url: Annotated[str | None, typer.Option(help="As for evalkit run.")] = None,
    served_model: Annotated[str | None, typer.Option(help="As for evalkit run.")] = None,
    api_key_env: Annotated[str, typer.Option(help="As for evalkit run.")] = "",
    device: Annotated[str, typer.Option(help="As for evalkit run.")] = "auto",
    search: Annotated[str, typer.Option(help="As for evalkit run; it is searched once.")] = "",
    image_search: Annotated[str, typer.Option(help="As for evalkit run.")] = "",
    tasks: Annotated[str, typer.Option("--tasks", "-t", help="Also look at the data of these tasks.")] = "",
    data: Annotated[str | None, typer.Option(help="As for evalkit run.")] = None,
    task_dir: TaskDirs = None,
    sandbox: Annotated[str, typer.Option(help="Which sandbox to examine: local, docker:IMAGE or jupyter.")] = "local",
    stress: Annotated[
        int, typer.Option(min=0, help="Also keep N sessions alive at once and time their starts and calls.")
    ] = 0,
    out: Annotated[Path, typer.Option(parser=out_folder, metavar="DIR|URL", help="Where run folders would go.")] = Path(
        "runs"
    ),
) -> None:
    """Examine the sandbox (by attacking it from inside), packages and disk; on request a model and tasks' data."""
    import uvloop

    from evalkit.cli._doctor import Asked, examine
    from evalkit.errors import EvalkitError
    from evalkit.models import find_card
    from evalkit.runs.setup import EngineSettings

    if (search or image_search) and model is None:
        raise EvalkitError("--search and --image-search go with --model: they are tools of a model's agent")
    asked = Asked(
        sandbox=sandbox,
        stress=stress,
        card=find_card(model, engine) if model else None,
        settings=EngineSettings(
            base_url=base_url, served_model=served_model, api_key_env=api_key_env, device=device, concurrency=1
        ),
        tasks=tuple(name for name in (part.strip() for part in tasks.split(",")) if name),
        search=search,
        image_search=image_search,
        data=data,
        task_dirs=tuple(task_dir or ()),
        out=out,
    )
    code = uvloop.run(examine(asked))
    if code:
        raise typer.Exit(int(code))
