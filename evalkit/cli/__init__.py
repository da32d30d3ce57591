"""The command line: one thin module per verb, one place where errors become exit codes."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence

import typer

from evalkit.cli import (
    baseline,
    baselines,
    compare,
    curate,
    doctor,
    export,
    gate,
    import_,
    judge,
    merge,
    models,
    report,
    run,
    score,
    show,
    tasks,
    train,
    view,
)
from evalkit.cli._inert import inert
from evalkit.errors import EvalkitError, ExitCode, one_line
from evalkit.secrets import without_secrets
from evalkit.version import __version__

app = typer.Typer(
    name="evalkit",
    help="Is a vision-language agent right, and did it need its tools?",
    epilog="Exit codes: 0 pass, 1 regression, 2 usage, 3 infrastructure errors, 4 inconclusive, "
    "5 nothing evaluated, 130 interrupted, 143 terminated. --debug anywhere shows tracebacks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _verb in (
    run,
    merge,
    score,
    compare,
    gate,
    report,
    view,
    show,
    import_,
    export,
    tasks,
    models,
    judge,
    baseline,
    baselines,
    curate,
    train,
    doctor,
):
    _verb.register(app)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Show the version and exit."),
) -> None:
    if version:
        typer.echo(f"evalkit {__version__}")
        raise typer.Exit


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a terminal that cannot show a character is no reason to fail
            stream.reconfigure(errors="replace")
    command = typer.main.get_command(app)
    try:
        result = command.main([a for a in arguments if a != "--debug"], prog_name="evalkit", standalone_mode=False)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has seen enough (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.BROKEN_PIPE
    except EvalkitError as error:
        if debug:
            _trace()
        for line in str(error).splitlines():
            typer.echo(inert(f"error: {one_line(without_secrets(line), 2000)}"), err=True)
        return int(error.exit_code)
    except Exception as error:
        # the command parser's own errors carry an exit code and know how to show themselves
        show = getattr(error, "show", None)
        if show is None:
            if debug:
                _trace()
            what = one_line(without_secrets(f"{type(error).__name__}: {error}"), 500)
            typer.echo(inert(f"error: evalkit itself failed: {what} (--debug shows where)"), err=True)
            return int(ExitCode.INFRASTRUCTURE)
        show()
        return int(ExitCode.USAGE)
    return int(result or 0)


def _trace() -> None:
    """The traceback of what is being handled: a text like others, in which secrets and escapes can stand."""
    for line in traceback.format_exc().splitlines():
        typer.echo(inert(without_secrets(line)), err=True)


__all__ = ["app", "main"]
