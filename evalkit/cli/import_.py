"""`evalkit import`: recordings made by other programs, as run folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from evalkit.cli._data_options import TaskDirs, revision_option, task_dir_option, task_setting_option
from evalkit.cli._remote import out_folder
from evalkit.records import Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalkit.bridges.imported import Imported

_OWN = "Scored by evalkit"
Model = Annotated[
    str | None, typer.Option("--model", "-m", help="The model's name for reports (default: the recording's).")
]
Out = Annotated[Path, typer.Option(parser=out_folder, metavar="DIR|URL", help="Folder of run folders.")]
Score = Annotated[
    str | None, typer.Option(help="Which of the recording's marks says right and wrong (default: its main one).")
]
Allowed = Annotated[float, typer.Option(min=0, max=1, help="Share of error rows above which to exit with 3.")]
Task = Annotated[
    str | None,
    typer.Option(
        "--task",
        "-t",
        rich_help_panel=_OWN,
        help="One of evalkit's tasks, whose rows these are (by id): it scores the responses, and the recording's "
        "verdicts are kept beside. Without it they count as they are.",
    ),
]
Data = Annotated[str | None, typer.Option(rich_help_panel=_OWN, help="The task's rows, as for evalkit run.")]
Revision = Annotated[str | None, revision_option(_OWN)]
Option = Annotated[list[str] | None, task_setting_option(_OWN)]
Dirs = Annotated[list[Path] | None, task_dir_option(_OWN)]
Whose = Annotated[Rule, typer.Option("--rule", rich_help_panel=_OWN, help="Whose verdicts come first.")]


def register(app: typer.Typer) -> None:
    """Add the verb, with one command per kind of recording."""
    group = typer.Typer(
        cls=_Verb, help="Turn recordings made by other programs into run folders, and score them.", no_args_is_help=True
    )
    group.callback()(_group)
    for command in (deepeyes, inspect, lmms, vlmevalkit, table):
        group.command(command.__name__)(command)
    app.add_typer(group, name="import")


class _Verb(TyperGroup):
    """A file whose name says what it is needs no command: `evalkit import x.eval`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, ["inspect", *args] if args and args[0].lower().endswith(".eval") else args)


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
    revision: Annotated[str | None, revision_option()] = None,
    out: Out = Path("runs"),
    rule: Annotated[Rule, typer.Option(help="Whose verdicts come first; both are stored.")] = Rule.STRICT,
    allowed_errors: Annotated[
        float, typer.Option(min=0, max=1, help="Share of error rows above which to exit with 3.")
    ] = 0.01,
    task_dir: TaskDirs = None,
) -> None:
    """Import DeepEyes logs: turns, tool calls, answers, and the recorded verdicts beside evalkit's own."""
    from evalkit.bridges.deepeyes import PROTOCOL, TOOLS, known_ids, read_recording
    from evalkit.cli._console import Console
    from evalkit.cli._finish import finish_run
    from evalkit.cli._remote import send
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
    send(folder)
    if code:
        raise typer.Exit(int(code))


def inspect(
    file: Annotated[Path, typer.Argument(help="Log of one Inspect run: .eval or .json.")],
    model: Model = None,
    score: Score = None,
    out: Out = Path("runs"),
    allowed_errors: Allowed = 0.01,
    task: Task = None,
    data: Data = None,
    revision: Revision = None,
    task_option: Option = None,
    task_dir: Dirs = None,
    rule: Whose = Rule.STRICT,
) -> None:
    """Import a log of Inspect AI: messages, tool calls, tokens, times, and its scores."""

    def read() -> Imported:
        from evalkit.bridges.inspect.installed import changed, require

        # said in one line, before modules are loaded that need it
        version = require()
        try:
            from evalkit.bridges.inspect.read import read_log
        except ImportError as error:
            raise changed(version, error) from error

        return read_log(file)

    _import(read, [file], model, score, out, allowed_errors, task, data, revision, task_option, task_dir, rule)


def lmms(
    file: Annotated[Path, typer.Argument(help="Sample log of one lmms-eval task: …_samples_TASK.jsonl.")],
    model: Model = None,
    score: Score = None,
    out: Out = Path("runs"),
    allowed_errors: Allowed = 0.01,
    task: Task = None,
    data: Data = None,
    revision: Revision = None,
    task_option: Option = None,
    task_dir: Dirs = None,
    rule: Whose = Rule.STRICT,
) -> None:
    """Import a sample log of lmms-eval: the last responses, and the task's own scores."""

    def read() -> Imported:
        from evalkit.bridges.lmms.logs import read_samples

        return read_samples(file)

    _import(read, [file], model, score, out, allowed_errors, task, data, revision, task_option, task_dir, rule)


def vlmevalkit(
    file: Annotated[Path, typer.Argument(help="Result file: MODEL_BENCHMARK[_JUDGE_result].xlsx, .tsv, .csv, .json.")],
    model: Model = None,
    benchmark: Annotated[str | None, typer.Option(help="Its name (default: from the file's name).")] = None,
    correct: Annotated[str | None, typer.Option(help="Column of verdicts (default: hit).")] = None,
    out: Out = Path("runs"),
    allowed_errors: Allowed = 0.01,
    task: Task = None,
    data: Data = None,
    revision: Revision = None,
    task_option: Option = None,
    task_dir: Dirs = None,
    rule: Whose = Rule.STRICT,
) -> None:
    """Import a result file of VLMEvalKit: the last responses, and its verdicts."""

    def read() -> Imported:
        from evalkit.bridges.vlmevalkit import read_results

        return read_results(file, model or "", benchmark or "", correct, scored=task is not None)

    _import(read, [file], model, None, out, allowed_errors, task, data, revision, task_option, task_dir, rule)


def table(
    file: Annotated[Path, typer.Argument(help="A row a question: .jsonl, .csv, .tsv, .json (a list) or .xlsx.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="The model's name for reports (default: the file's).")
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="What the rows are of, by name (default: the file's); runs of one are compared.")
    ] = None,
    id: Annotated[str | None, typer.Option(help="Column of the rows' ids (default: id).")] = None,
    question: Annotated[str | None, typer.Option(help="Column of the questions (default: question, if any).")] = None,
    answer: Annotated[str | None, typer.Option(help="Column of the references (default: answer, if any).")] = None,
    response: Annotated[str | None, typer.Option(help="Column of the responses (default: response).")] = None,
    correct: Annotated[
        str | None, typer.Option(help="Column of the verdicts: 1 or 0, true or false (default: correct).")
    ] = None,
    category: Annotated[str | None, typer.Option(help="Column of the grouping (default: category, if any).")] = None,
    out: Out = Path("runs"),
    allowed_errors: Allowed = 0.01,
    task: Task = None,
    data: Data = None,
    revision: Revision = None,
    task_option: Option = None,
    task_dir: Dirs = None,
    rule: Whose = Rule.STRICT,
) -> None:
    """Import a plain table of ids, responses and verdicts."""

    def read() -> Imported:
        from evalkit.bridges.table import Columns, read_table

        columns = Columns(
            id=id, question=question, answer=answer, response=response, correct=correct, category=category
        )
        return read_table(file, benchmark or file.stem, columns, scored=task is not None)

    _import(read, [file], model, None, out, allowed_errors, task, data, revision, task_option, task_dir, rule)


def _import(
    read: Callable[[], Imported],
    files: list[Path],
    model: str | None,
    score: str | None,
    out: Path,
    allowed_errors: float,
    task: str | None,
    data: str | None,
    revision: str | None,
    task_option: list[str] | None,
    task_dir: list[Path] | None,
    rule: Rule,
) -> None:
    from evalkit.cli._imported import ImportRequest, import_recording
    from evalkit.cli._tasks import read_options

    asked = ImportRequest(
        files=files,
        model=model,
        score=score,
        task=task,
        data=data,
        revision=revision,
        options=read_options(task_option),
        task_dirs=task_dir or [],
        rule=rule,
        out=out,
        allowed_errors=allowed_errors,
    )
    if code := import_recording(asked, read):
        raise typer.Exit(int(code))
