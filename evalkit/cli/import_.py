"""`evalkit import`: recordings made by other programs, as run folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.records import Rule


def register(app: typer.Typer) -> None:
    """Add the verb, with one command per kind of recording."""
    group = typer.Typer(
        help="Turn recordings made by other programs into run folders, and score them.", no_args_is_help=True
    )
    group.callback()(_group)
    group.command("deepeyes")(deepeyes)
    app.add_typer(group, name="import")


def _group() -> None:
    pass


def deepeyes(
    files: Annotated[
        list[Path],
        typer.Argument(help="Logs of one run: for V* both result_<category>_….jsonl, for HR-Bench one file."),
    ],
    task: Annotated[str, typer.Option("--task", "-t", help="vstar, hrbench_4k or hrbench_8k.")],
    model: Annotated[str, typer.Option("--model", "-m", help="The model's name, as reports shall show it.")],
    data: Annotated[
        str | None,
        typer.Option(
            help="The task's own rows, as for evalkit run: adds images and metadata, and names missing rows. "
            "Without it questions and answers come from the logs."
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Commit or tag of the hub data set.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of run folders.")] = Path("runs"),
    rule: Annotated[Rule, typer.Option(help="Whose verdicts come first; both are stored.")] = Rule.STRICT,
    allowed_errors: Annotated[
        float, typer.Option(min=0, max=1, help="Share of error rows above which to exit with 3.")
    ] = 0.01,
    task_dir: Annotated[
        list[Path] | None, typer.Option("--task-dir", help="Folder with further tasks (repeatable).")
    ] = None,
) -> None:
    """Import DeepEyes logs: turns, tool calls, answers, and the recorded verdicts beside evalkit's own."""
    from evalkit.bridges.deepeyes import PROTOCOL, TOOLS, known_ids, read_recording
    from evalkit.cli._console import Console
    from evalkit.cli._finish import finish_run
    from evalkit.cli._tasks import check_rule, checked_samples, open_one
    from evalkit.errors import DataError, EvalkitError
    from evalkit.runs.imported import IMPORTED, Origin, source_file, write_run

    opened = open_one(task, task_dir, data, revision)
    if problem := check_rule(opened, rule):
        raise EvalkitError(problem)
    own = checked_samples(opened) if data is not None else None
    recording = read_recording(files, opened, own)
    samples = own or [record.sample for record in recording.records]
    expected = opened.expected_rows or len(samples)
    if len(recording.records) > expected:
        raise DataError(f"the logs hold {len(recording.records)} rows where task {opened.name} has {expected}")
    origin = Origin(
        engine=IMPORTED,
        model=model,
        files=tuple(source_file(file) for file in files),
        rows_from="log" if own is None else None,
        protocol=PROTOCOL,
        tools=TOOLS,
        system_prompt=recording.system_prompt,
        notes=recording.notes,
    )
    folder, info = write_run(out, opened, samples, expected, recording.records, origin)
    ids = known_ids(opened.name, expected) if own is None else [sample.id for sample in own]
    code = finish_run(folder, info, opened, Console(), allowed_errors, rule, ids)
    if code:
        raise typer.Exit(int(code))
