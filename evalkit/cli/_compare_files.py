"""A comparison as JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import msgspec

from evalkit.analysis.comparison import Comparison, Versus
from evalkit.cli._compare_words import (
    config_line,
    difference_of,
    flips_of,
    heading_of,
    interval_of,
    overlap_of,
    p_of,
    remarks,
    tests_of,
    value_of,
)
from evalkit.errors import EvalkitError, one_line
from evalkit.reporting.cells import comment_cell, csv_cell, json_text
from evalkit.reporting.settings import GROUPS

COLUMNS = (
    "task", "rule", "reference", "reference_model", "run", "run_model", "figure", "category", "unit",
    "n", "old", "new", "difference", "low", "high", "p",
    "p_adjusted", "family", "method", "test", "both", "only_new", "only_old", "neither", "verdict", "why",
)  # fmt: skip
_IDS = 8
_SETTINGS = 10


def as_json(comparison: Comparison) -> str:
    """Everything: the fields of `evalkit.analysis.comparison.Comparison`."""
    return json_text(msgspec.json.format(msgspec.json.encode(comparison), indent=2).decode()) + "\n"


def as_csv(comparison: Comparison) -> str:
    """One row per figure of each run against the reference; shares as 0..1, empty where not available."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    reference, *others = comparison.runs
    for versus, run in zip(comparison.against, others, strict=True):
        whose = {
            "task": comparison.task,
            "rule": str(comparison.rule),
            "reference": reference.label,
            "reference_model": reference.model,
            "run": run.label,
            "run_model": run.model,
        }
        for figure in versus.figures:
            values = {**whose, **msgspec.structs.asdict(figure), "figure": figure.name}
            values |= msgspec.structs.asdict(figure.counts) if figure.counts else {}
            writer.writerow([csv_cell(values.get(name)) for name in COLUMNS])
    return out.getvalue()


def as_markdown(comparison: Comparison) -> str:
    """Short enough for a pull request: models, what differs, one table for each run, what flipped."""
    reference, *others = comparison.runs
    lines = [f"### {_code(comparison.task)}: {', '.join(run.label for run in others)} against {reference.label}", ""]
    lines += [
        f"- {run.label}: {_code(run.model)}, {run.samples} of {run.expected} rows"
        + (f", {run.errors} errors" if run.errors else "")
        for run in comparison.runs
    ]
    unknown = [run.imported for run in comparison.runs]
    for group, title in GROUPS.items():
        mine = [difference for difference in comparison.config if difference.group == group]
        shown = [f"{_code(d.key)} {_code(config_line(d, comparison, unknown), 120)}" for d in mine[:_SETTINGS]]
        more = f", and {len(mine) - _SETTINGS} more" if len(mine) > _SETTINGS else ""
        lines.append(f"- differences in {title}: {', '.join(shown) or 'none that is recorded'}{more}")
    for versus in comparison.against:
        lines += ["", *_section(comparison, versus)]
    return "\n".join(lines) + "\n"


def _section(comparison: Comparison, versus: Versus) -> list[str]:
    reference = comparison.runs[0].label
    lines = [
        f"{versus.label} against {reference}, {comparison.rule} rule: {_words(overlap_of(versus, comparison))}.",
        "",
        f"| figure | {reference} | {versus.label} | difference (95 % interval) | p | |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for figure in versus.figures:
        if figure.difference is None:
            continue
        interval = interval_of(figure)
        difference = difference_of(figure) + (f" ({interval})" if interval else "")
        cells = (value_of(figure, figure.old), value_of(figure, figure.new), difference, p_of(figure.p_adjusted))
        lines.append(f"| {_words(heading_of(figure))} | {' | '.join(cells)} | {figure.verdict} |")
    lines += ["", *(f"- {_words(line)}" for line in [*remarks(versus, comparison), tests_of(comparison)])]
    for direction, flips in flips_of(versus).items():
        ids = ", ".join(_code(flip.id) for flip in flips[:_IDS])
        more = f", and {len(flips) - _IDS} more" if len(flips) > _IDS else ""
        lines.append(f"- {len(flips)} {direction.replace('->', 'to')}" + (f": {ids}{more}" if flips else ""))
    return lines


def write_file(name: str, file: Path, text: str) -> None:
    """Write what was asked for.

    Raises:
        EvalkitError: it cannot be written there.
    """
    try:
        file.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise EvalkitError(f"--{name} {file}: cannot be written: {error.strerror}") from error


def _words(text: str) -> str:
    return comment_cell(text, 600)


def _code(text: str, limit: int = 80) -> str:
    """Text in a code span, in which nothing acts."""
    return "`" + one_line(text, limit).replace("`", "'") + "`"


WRITERS: dict[str, Callable[[Comparison], str]] = {"json": as_json, "csv": as_csv, "md": as_markdown}
"""The formats, by the option that asks for them."""
