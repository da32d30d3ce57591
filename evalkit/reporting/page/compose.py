"""A report's page: templates, styles, scripts and data put together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evalkit.baselines import published
from evalkit.content import content_dir
from evalkit.reporting.page.assets import Source, assets
from evalkit.reporting.page.blobs import in_page
from evalkit.reporting.page.view import view_of

if TYPE_CHECKING:
    from evalkit.reporting.report import Report

# HTML has no place for these, and UTF-8 none for half of a surrogate pair
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


class Page(NamedTuple):
    """A page as text, and the Content-Security-Policy that it also carries itself."""

    html: str
    policy: str


class Reach(NamedTuple):
    """Which trajectories a page can show.

    Attributes:
        details: row numbers of each run; None for all.
        note: the same for a reader.
    """

    details: Sequence[list[int] | None]
    note: str


class Composer:
    """One report's page. The tables and charts are drawn once, whatever data then goes with them."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._environment = Environment(
            loader=FileSystemLoader(content_dir("reports") / "templates"),
            undefined=StrictUndefined,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._title = "Evaluation report"
        self.body = self._body()

    def page(
        self,
        source: Source,
        reach: Reach,
        blobs: Sequence[tuple[str, str]] = (),
        *,
        version: str = "",
        more: Sequence[str] = (),
    ) -> Page:
        """The page.

        Args:
            source: where its data is.
            reach: which trajectories it can show.
            blobs: name and packed data inside of it.
            version: what a server's data is asked for by.
            more: names of further scripts in `reports/static`.
        """
        made = assets(source, more)
        html = self._environment.get_template("report.html.j2").render(
            title=self._title,
            source=str(source),
            version=version,
            policy=made.policy,
            styles=[Markup(text) for text in made.styles],
            scripts=[Markup(text) for text in made.scripts],
            boards=self._report.boards,
            body=Markup(self.body),
            runs=bool(self._report.indexes),
            runs_json=Markup(in_page(self._runs(reach))),
            trajectories=reach.note,
            blobs=[(name, Markup(data)) for name, data in blobs],
        )
        return Page(_NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", html), made.policy)

    def _body(self) -> str:
        report = self._report
        view = view_of(report.boards, report.indexes, report.charts, published().sources)
        return self._environment.get_template("report/body.html.j2").render(
            title=self._title,
            view=view,
            counts=_counts(report),
            unreadable=report.boards.unreadable,
            Markup=Markup,
        )

    def _runs(self, reach: Reach) -> list[dict[str, object]]:
        models = {
            (entry.task, entry.run): entry.model for board in self._report.boards.boards for entry in board.entries
        }
        return [
            {
                "run": index.run,
                "model": models.get((index.task, index.run), index.run),
                "task": index.task,
                "index": number,
                **({"rows": len(index.ids)} if rows is None else {"details": rows}),
            }
            for number, (index, rows) in enumerate(zip(self._report.indexes, reach.details, strict=True))
        ]


def _counts(report: Report) -> str:
    boards = report.boards.boards
    runs = sum(len(board.entries) for board in boards)
    return (
        f"{runs} run{'s' if runs != 1 else ''} on {len(boards)} benchmark{'s' if len(boards) != 1 else ''}, "
        f"made {report.boards.made[:10]}"
    )
