"""Analysis: from a run's records to its figures.

`summarise` is one run's end; `analyse` makes every table of any number of runs, and is loaded (with pandas) when used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.analysis.summary import Summary, summarise

if TYPE_CHECKING:
    from evalkit.analysis.tables import Analysis, analyse

_TABLES = ("Analysis", "analyse")

__all__ = ["Analysis", "Summary", "analyse", "summarise"]


def __getattr__(name: str) -> Any:
    """Loads the tables when they are first asked for."""
    if name not in _TABLES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from evalkit.analysis import tables

    return getattr(tables, name)
