"""Styles and scripts of a page, and the policy that lets these run and nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from evalkit.content import content_dir
from evalkit.reporting.trajectories import SCRIPTS, STYLES


class Source(StrEnum):
    """Where a page finds its data."""

    INLINE = "inline"
    """In the page itself: one file."""
    SITE = "site"
    """In files beside it, read as scripts: a folder that works from a disk as well as from a server."""
    SERVER = "server"
    """Asked of `evalkit view`."""


class Assets(NamedTuple):
    """What a page holds: texts of styles and scripts, and its Content-Security-Policy."""

    styles: list[str]
    scripts: list[str]
    policy: str


def assets(source: Source, more: Sequence[str] = ()) -> Assets:
    """The parts of a page.

    Args:
        source: where its data is.
        more: names of further scripts in `reports/static`.
    """
    folder = content_dir("reports") / "static"
    styles = [(folder / name).read_text("utf-8") for name in ("colours.css", "report.css", *STYLES)]
    scripts = [(folder / name).read_text("utf-8") for name in ("core.js", "board.js", *SCRIPTS, *more)]
    return Assets(styles, scripts, _policy(source, styles, scripts))


def _policy(source: Source, styles: Sequence[str], scripts: Sequence[str]) -> str:
    """Only these very texts are run; 'self' is the folder of a report, also where that is opened from a disk."""
    site = source is Source.SITE
    rules = {
        "default-src": "'none'",
        "script-src": " ".join([*map(_digest, scripts), *(["'self'"] if site else [])]),
        "style-src": " ".join(map(_digest, styles)),
        "img-src": "data:",
        "connect-src": "'self'" if source is Source.SERVER else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "evalkit-data" if site else "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
