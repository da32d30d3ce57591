"""The tools of a recorded run, once more."""

from __future__ import annotations

import msgspec

from evalkit.curation.source import SourceRun
from evalkit.runs.plan import digest
from evalkit.runs.searches import Searches
from evalkit.runs.setup import make_tools
from evalkit.sandbox.base import Sandbox
from evalkit.sandbox.local import LocalSandbox
from evalkit.search import SEARCHES, Kind
from evalkit.tools import IMAGE_SEARCH, TEXT_SEARCH, SearchSizes, Tool

_KINDS = {TEXT_SEARCH: Kind.TEXT, IMAGE_SEARCH: Kind.IMAGE}


def tools_of(run: SourceRun, sandbox: Sandbox, searches: Searches | None) -> dict[str, Tool]:
    """Those of the run's tools that can be had here.

    Args:
        run: what was offered.
        sandbox: runs code.
        searches: see `searches_of`.
    """
    return make_tools(run.tools, sandbox, run.protocol.zoom, searches)


def searches_of(run: SourceRun) -> Searches | None:
    """The run's own searches, to be played back; None where it recorded none."""
    if not (run.folder / SEARCHES).is_file():
        return None
    asked = run.info.config.get("search") or {}
    named = {kind: f"recorded:{run.folder}" for tool, kind in _KINDS.items() if tool in asked}
    return Searches(named, run.tools, run.protocol.search or SearchSizes()) if named else None


def declarations_of(run: SourceRun) -> str | None:
    """The tools as the chat template was told of them, as JSON; None for a protocol that puts them into its prompt.

    None too where they are not worded as they were: another version of evalkit made the run.
    """
    if not run.protocol.native_tools:
        return None
    tools = tools_of(run, LocalSandbox(), searches_of(run)).values()
    text = msgspec.json.encode(tuple(run.protocol.equip(tool).spec.declaration() for tool in tools))
    same = digest(text) == run.info.config["protocol"].get("declarations")
    return text.decode() if same else None
