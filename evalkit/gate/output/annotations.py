"""A gate as GitHub workflow commands, which Actions shows at the top of a run."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from evalkit.errors import one_line
from evalkit.gate.output.words import difference_of, what_of, why_of
from evalkit.gate.result import CheckResult, GateResult, Status

SHOWN = 10
"""Annotations of one kind that GitHub shows of a step; the last one says how many more there are."""
_LEVELS = {Status.FAIL: "error", Status.ERROR: "error", Status.INCONCLUSIVE: "warning"}


def in_actions(environment: Mapping[str, str]) -> bool:
    """Whether this is a step of GitHub Actions."""
    return environment.get("GITHUB_ACTIONS") == "true"


def as_annotations(results: Sequence[GateResult]) -> list[str]:
    """A workflow command for each check that has not passed."""
    said: dict[str, list[str]] = {"error": [], "warning": []}
    for result in results:
        for check in result.checks:
            if level := _LEVELS.get(check.status):
                said[level].append(_of_check(level, result, check))
    lines = []
    for level, commands in said.items():
        if len(commands) > SHOWN:
            rest = len(commands) - SHOWN + 1
            commands[SHOWN - 1 :] = [command(level, "evalkit gate", f"{rest} more, in the log of this step")]
        lines += commands
    return lines


def _of_check(level: str, result: GateResult, check: CheckResult) -> str:
    difference = difference_of(check)
    lines = [why_of(check), *([f"difference {difference}"] if difference else []), f"{result.new} vs {result.baseline}"]
    title = f"evalkit gate, {result.task}: {what_of(check)} {check.status.upper()}"
    return command(level, title, "\n".join(one_line(line, 400) for line in lines))


def command(level: str, title: str, message: str) -> str:
    """One workflow command on one line.

    Args:
        level: "error" or "warning".
        title: may hold anything.
        message: may hold anything; line ends are kept.
    """
    title = _escaped(one_line(title, 200)).replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={title}::{_escaped(message)}"


def _escaped(text: str) -> str:
    # the percent sign first: the other marks bring more of them
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


@contextmanager
def commands_stopped(echo: Callable[[str], object]) -> Iterator[None]:
    """No workflow command acts between: what a model wrote may look like one.

    Args:
        echo: prints a line to the stream that is to be kept from acting.
    """
    # nobody who wrote an answer can know the word that ends it
    token = secrets.token_hex(16)
    echo(f"::stop-commands::{token}")
    try:
        yield
    finally:
        echo(f"::{token}::")
