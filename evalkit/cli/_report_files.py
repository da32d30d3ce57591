"""What `evalkit report` writes, where, and how large it became."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import typer

from evalkit.analysis.board import Boards
from evalkit.analysis.boards import make_boards
from evalkit.analysis.task_opener import TaskOpener
from evalkit.content import find_tasks
from evalkit.errors import EvalkitError, NothingEvaluatedError
from evalkit.records import Rule
from evalkit.reporting.board_markdown import boards_markdown
from evalkit.reporting.export import boards_csv, boards_json
from evalkit.reporting.report import TRAJECTORIES, Report, make_report
from evalkit.reporting.trajectories import ALL, FAILURES
from evalkit.reporting.trajectories import Wanted as Trajectories
from evalkit.reporting.writing import write_whole
from evalkit.runs.find import run_folders

STDOUT = "-"
_TEXTS: dict[str, Callable[[Boards], str]] = {"md": boards_markdown, "csv": boards_csv, "json": boards_json}
_PAGES = (".html", ".htm")


class Wanted(NamedTuple):
    """The outputs asked for.

    Attributes:
        html: a file or a folder.
        texts: file by format; `STDOUT` for at most one.
        figures: a folder.
        trajectories: which of each run a page holds.
    """

    html: Path | None
    texts: dict[str, str]
    figures: Path | None
    trajectories: Trajectories

    @classmethod
    def of(
        cls,
        *,
        html: Path | None,
        md: str | None,
        csv: str | None,
        json: str | None,
        figures: Path | None,
        trajectories: str | None,
    ) -> Wanted:
        """The outputs as options name them.

        Raises:
            EvalkitError: two go to stdout, or trajectories are chosen in another way or without a page.
        """
        texts = {name: target for name, target in (("md", md), ("csv", csv), ("json", json)) if target is not None}
        alone = [f"--{name} -" for name, target in texts.items() if target == STDOUT]
        if len(alone) > 1:
            raise EvalkitError(f"{' and '.join(alone)}: only one can go to the terminal")
        if html is not None and str(html) == STDOUT:
            raise EvalkitError("--html -: a page is written to a file or a folder; name one")
        if empty := [f"--{name}" for name, target in texts.items() if not target]:
            raise EvalkitError(f"{empty[0]} needs the name of a file")
        if trajectories is not None and html is None:
            raise EvalkitError("--trajectories goes with --html: they are shown in the page alone")
        return cls(html, texts, figures, _trajectories(trajectories))

    @property
    def any(self) -> bool:
        """Whether anything is to be written."""
        return bool(self.html or self.texts or self.figures)

    @property
    def stdout(self) -> bool:
        """Whether something goes to stdout as data."""
        return STDOUT in self.texts.values()


def read_report(named: Sequence[Path], rule: Rule, wanted: Wanted, task_dirs: Sequence[Path]) -> Report:
    """The runs, with what a page needs where one is asked for.

    Raises:
        EvalkitError: a folder of the user's holds no task.
        NothingEvaluatedError: no run can be read.
    """
    # a folder without a task is said before anything is read
    find_tasks(task_dirs)
    folders, task_of = run_folders(named), TaskOpener(tuple(task_dirs))
    if wanted.html is not None:
        made = make_report(folders, rule, trajectories=wanted.trajectories, task_of=task_of)
    else:
        boards, indexes = make_boards(folders, rule, task_of=task_of)
        made = Report(boards=boards, indexes=indexes)
    if not made.boards.boards:
        raise NothingEvaluatedError(
            "\n".join(["no run could be read", *(f"{one.folder}: {one.why}" for one in made.boards.unreadable)])
        )
    return made


def write_outputs(report: Report, wanted: Wanted) -> Iterator[str]:
    """Write them; a line for each.

    Raises:
        EvalkitError: one cannot be written.
    """
    for name, target in wanted.texts.items():
        text = _TEXTS[name](report.boards)
        if target == STDOUT:
            typer.echo(text.encode("utf-8", "backslashreplace"), nl=False)
        else:
            write_whole(Path(target), text.encode("utf-8", "backslashreplace"))
            yield _said(Path(target))
    if wanted.figures is not None:
        from evalkit.reporting.charts import save_figures

        files = save_figures(report.boards, wanted.figures)
        yield f"{wanted.figures}: {len(files)} files, {_size(sum(map(_bytes, files)))}"
    if wanted.html is not None:
        yield _write_page(report, wanted.html)


def _write_page(report: Report, place: Path) -> str:
    from evalkit.reporting.page import write_html, write_site

    if place.suffix.lower() in _PAGES and not place.is_dir():
        write_html(report, place)
        return _said(place)
    write_site(report, place)
    files = [Path(folder) / name for folder, _, names in os.walk(place) for name in names]
    return f"{place / 'index.html'}: {len(files)} files, {_size(sum(map(_bytes, files)))}"


def _trajectories(text: str | None) -> Trajectories:
    if text is None:
        return TRAJECTORIES
    if text in (ALL, FAILURES):
        return ALL if text == ALL else FAILURES
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise EvalkitError(f"--trajectories takes all, failures or a number, not {text!r}")
    return int(text)


def _said(file: Path) -> str:
    return f"{file}: {_size(_bytes(file))}"


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _size(count: int) -> str:
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1000:.0f} kB" if count < 1_000_000 else f"{count / 1e6:.1f} MB"
