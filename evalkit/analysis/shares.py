"""A share of a run's rows with its interval; loads the statistics of clusters only where there are any."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from evalkit.stats import StatsUnavailable, wilson


class Share(msgspec.Struct, frozen=True):
    """`count` of `n` rows, with a 95 % interval; `value` is None when there are no rows.

    The interval is Wilson's; where rows belong together (same question, problem or image), Wilson's at the effective
    number of rows (`evalkit.stats.cluster_wilson`).

    Attributes:
        clusters: groups of rows that the interval counts in place of rows; None where each row stands alone.
        why: what stands after "not available, because": of the interval, where there is a value without one.
    """

    count: int
    n: int
    value: float | None
    low: float | None = None
    high: float | None = None
    clusters: int | None = None
    why: str = ""


def share(count: int, n: int) -> Share:
    """A share of rows that stand alone."""
    return Share(count, n, count / n, *wilson(count, n)) if n else Share(count, 0, None)


def clustered_share(flags: Iterable[bool], clusters: Sequence[str]) -> Share:
    """The share of true flags.

    Args:
        flags: one per row.
        clusters: one label per row; rows with equal labels are not independent.
    """
    right = [bool(flag) for flag in flags]
    groups = len(set(clusters))
    if groups == len(right):
        return share(sum(right), len(right))
    from evalkit.stats import cluster_wilson

    value = sum(right) / len(right)
    try:
        found = cluster_wilson(right, clusters)
    except StatsUnavailable as error:
        return Share(sum(right), len(right), value, clusters=groups, why=error.reason)
    return Share(sum(right), len(right), value, *found.interval, clusters=groups)


def clusters_of(records: Iterable[Any]) -> list[str]:
    """The cluster of each `Record` or `Case`; a sample that names none stands alone."""
    return [record.sample.cluster or record.sample.id for record in records]
