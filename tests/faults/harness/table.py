"""The table of `docs/reliability.md`."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from evalkit.version import __version__
from tests.faults.harness.result import Head, Result

BEGIN, END = "<!-- made by `python -m tests.faults.harness`: begin -->", "<!-- end -->"


def table(head: Head, results: Sequence[Result], why_not: Mapping[str, str]) -> str:
    """What was found, as Markdown.

    Args:
        head: of the results.
        results: every break.
        why_not: faults that could not be made, and why.
    """
    by_name = {name: [result for result in results if result.fault == name] for name in head.faults}
    lines = [
        f"{len(results)} breaks of a run of {head.boards * 4} samples; evalkit {__version__}, Python "
        f"{platform.python_version()}, Linux {platform.release().partition('-')[0]}; plan: seed {head.seed}.",
        "",
        "| fault | times | lost | duplicated | rows run again as errors | longest recovery | failed checks |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, made in [*by_name.items(), ("**all**", list(results))]:
        cells = (
            name,
            len(made),
            sum(result.lost for result in made),
            sum(result.duplicated for result in made),
            sum(result.errors for result in made),
            f"{max((result.recovery_s for result in made), default=0):.1f} s",
            sum(bool(result.problems) for result in made),
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += [f"\nNot made here: {name} ({why})." for name, why in why_not.items()]
    if missed := [result.fault for result in results if result.missed]:
        lines.append(
            f"\nThe run was through before it could be broken: {len(missed)} ({', '.join(sorted(set(missed)))})."
        )
    return "\n".join(lines)


def put_into(file: Path, made: str) -> None:
    """Replace what stands between the marks.

    Raises:
        SystemExit: the file has no marks.
    """
    before, begin, rest = file.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{file} has no place for the table: {BEGIN} and {END}")
    file.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}")
