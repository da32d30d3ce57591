"""Analysis: from a run's records to its figures."""

from evalkit.analysis.summary import Summary, summarise

__all__ = ["Summary", "summarise"]
