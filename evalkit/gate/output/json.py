"""A gate as JSON."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from evalkit.gate.output.words import exit_code_of
from evalkit.gate.result import SCHEMA, GateResult
from evalkit.reporting.cells import json_text


def as_json(results: Sequence[GateResult]) -> str:
    """Everything: the exit code, and under "gates" the fields of `GateResult` for each task."""
    whole = {"schema": SCHEMA, "exit_code": int(exit_code_of(results)), "gates": results}
    return json_text(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode()) + "\n"
