"""What the server shows, whatever makes it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from evalkit.errors import EvalkitError


class Gone(EvalkitError):
    """There is no such part, or no longer: the runs have changed since the page was made."""


class Page(NamedTuple):
    """A page and the rules that it is shown under.

    Attributes:
        version: of the runs that it shows.
        html: the page.
        policy: its Content-Security-Policy.
    """

    version: str
    html: str
    policy: str


class Source(Protocol):
    """Pages and their data. Several requests may wait for one at a time."""

    def version(self) -> str:
        """Which page `page` would give now; cheap, and it may block for no longer than a look at file sizes."""

    async def page(self) -> Page:
        """The newest page.

        Raises:
            EvalkitError: there is none.
        """

    async def data(self, kind: str, run: str = "", row: int = 0) -> bytes:
        """A part of what the newest page shows, as JSON.

        Args:
            kind: "boards", "rows" of a run, or "detail" of one of its rows.
            run: its name in the report; its number is another in every version.
            row: its place in the run's index.

        Raises:
            Gone: there is no such run or row.
            EvalkitError: the part cannot be read.
        """
