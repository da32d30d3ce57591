"""Behind `evalkit gate`: which rules, and where what was found goes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import typer

from evalkit.cli._console import Console
from evalkit.errors import EvalkitError
from evalkit.gate.config import find_gate_config, read_gate_config
from evalkit.gate.output import (
    as_annotations,
    as_json,
    as_junit,
    as_markdown,
    command,
    commands_stopped,
    for_terminal,
    in_actions,
)
from evalkit.gate.result import GateResult
from evalkit.gate.rules import GateRule, parse_rule

WRITERS = {"junit": as_junit, "md": as_markdown, "json": as_json}
"""The formats, by the option that asks for them."""
_TERMINAL = "-"
_SUMMARY = "GITHUB_STEP_SUMMARY"


class Targets:
    """Where each format goes.

    Args:
        wanted: by option; None where it was not given.

    Raises:
        EvalkitError: two of them want the terminal.
    """

    def __init__(self, wanted: Mapping[str, str | None]) -> None:
        alone = [name for name, target in wanted.items() if target == _TERMINAL]
        if len(alone) > 1:
            raise EvalkitError(f"{' and '.join(f'--{name} -' for name in alone)}: only one can go to the terminal")
        self.files = {name: Path(target) for name, target in wanted.items() if target and target != _TERMINAL}
        self.alone = alone[0] if alone else None


def rules_asked(fail: Sequence[str], config: Path | None) -> tuple[GateRule, ...] | None:
    """The rules of the command line and of the configuration that it names; else those of this folder's configuration.

    Returns:
        None where nobody has given any: evalkit's own.

    Raises:
        EvalkitError: one of them is no rule, or the configuration cannot be read.
    """
    given = tuple(parse_rule(text) for text in fail)
    if config is not None:
        return read_gate_config(config) + given
    if given or (found := find_gate_config(Path())) is None:
        return given or None
    rules = read_gate_config(found)
    Console(stderr=True).print(f"rules: {found}", markup=False, soft_wrap=True)
    return rules


def show_gates(results: Sequence[GateResult], targets: Targets) -> None:
    """Print what was found, annotate it in GitHub Actions, and write the files.

    Raises:
        EvalkitError: a file cannot be written.
    """
    actions = in_actions(os.environ)
    if targets.alone:
        typer.echo(WRITERS[targets.alone](results), nl=False)
    else:
        with commands_stopped(typer.echo) if actions else nullcontext():
            Console().print(for_terminal(results))
        for line in as_annotations(results) if actions else ():
            typer.echo(line)
    for name, file in targets.files.items():
        write_file(name, file, WRITERS[name](results))
        if not targets.alone:
            typer.echo(f"{name}: {file}")


@contextmanager
def errors_annotated() -> Iterator[None]:
    """In GitHub Actions an error is an annotation too: without it a red step has no reason at the top of the run."""
    try:
        yield
    except EvalkitError as error:
        if in_actions(os.environ):
            typer.echo(command("error", "evalkit gate", str(error)), err=True)
        raise


def write_file(name: str, file: Path, text: str) -> None:
    """Write what was asked for; a step's summary in GitHub Actions is added to.

    Raises:
        EvalkitError: it cannot be written there.
    """
    # what earlier commands of the step have put into its summary stays
    mode = "a" if str(file) == os.environ.get(_SUMMARY) else "w"
    try:
        with file.open(mode, encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
    except OSError as error:
        raise EvalkitError(f"--{name} {file}: cannot be written: {error.strerror}") from error
