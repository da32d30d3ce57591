"""What a test asserts on: one small run, and its gate."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import msgspec

from evalkit.analysis import Summary
from evalkit.errors import DataError, ExitCode, one_line
from evalkit.gate.output import outcome_of
from evalkit.gate.output.words import difference_of, what_of, why_of
from evalkit.gate.result import GateResult, Status
from evalkit.records import Record
from evalkit.runs.folder import SUMMARY


class Gated:
    """What a gate found, as a truth value: true where every check has passed.

    Attributes:
        result: all of it.
    """

    def __init__(self, result: GateResult) -> None:
        self.result = result

    def __bool__(self) -> bool:
        return self.result.exit_code is ExitCode.OK

    def __repr__(self) -> str:
        """What a failing `assert` shows."""
        lines = [outcome_of([self.result])]
        for check in self.result.checks:
            if check.status is not Status.PASS:
                difference = difference_of(check)
                shown = f" [{difference}]" if difference else ""
                lines.append(one_line(f"{check.status.upper()} {what_of(check)}{shown}: {why_of(check)}", 600))
        return "\n".join(lines)

    @property
    def exit_code(self) -> ExitCode:
        """What `evalkit gate` would exit with."""
        return self.result.exit_code


class EvalkitRun:
    """A finished run.

    Args:
        folder: its run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def summary(self) -> Summary:
        """Every figure, with its interval."""
        return msgspec.json.decode((self.folder / SUMMARY).read_bytes(), type=Summary)

    @cached_property
    def records(self) -> list[Record]:
        """Every trajectory, in the order of the file."""
        from evalkit.runs.store import latest_records

        return list(latest_records(self.folder).values())

    @property
    def accuracy(self) -> float:
        """Share of the scored rows that are right.

        Raises:
            DataError: no row was scored.
        """
        return self._known("accuracy", self.summary.accuracy.value)

    @property
    def tool_rate(self) -> float:
        """Share of the scored rows with at least one call that ran.

        Raises:
            DataError: no row was scored.
        """
        return self._known("tool_rate", self.summary.tools.tool_rate.value)

    def gate(self, baseline: str | os.PathLike[str], *rules: str) -> Gated:
        """The run against a baseline, as `evalkit gate` decides it.

        Args:
            baseline: a run folder, a file of `evalkit baseline save`, or "published:MODEL".
            rules: as for `--fail`; evalkit's own where there is none.

        Raises:
            EvalkitError: a rule or the baseline cannot be used.
        """
        from evalkit.gate.gate import run_gate
        from evalkit.gate.rules import parse_rule

        asked = [parse_rule(rule) for rule in rules]
        return Gated(run_gate(self.folder, os.fspath(baseline), asked or None))

    def _known(self, name: str, value: float | None) -> float:
        if value is None:
            raise DataError(f"{self.folder} has no {name}: no row was scored")
        return value
