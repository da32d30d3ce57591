"""The way into the viewer for a browser that is started for it."""

from __future__ import annotations

import contextlib
import html
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PAGE = (
    '<!doctype html><meta charset="utf-8"><title>evalkit view</title>'
    '<meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0; url={0}">'
    '<a href="{0}">The report</a>\n'
)


@contextlib.contextmanager
def way_to(address: str) -> Iterator[Path]:
    """A page that only this user can read and that leads on to `address`; gone at the end.

    Every user of a machine sees what browsers are started with, and the address holds the viewer's token.
    """
    with tempfile.TemporaryDirectory(prefix="evalkit-view-") as folder:
        page = Path(folder) / "index.html"
        page.write_text(_PAGE.format(html.escape(address)), "utf-8")
        yield page
