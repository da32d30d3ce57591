"""How often two runs of one agent disagree on a sample: the noise in which a gate must see a change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from evalkit import stats
from evalkit.analysis.kept import Kept
from evalkit.gate.contrasts.paired import discordance_seen
from evalkit.records import AGAIN, AGENT
from evalkit.stats.paired import effective_pairs

Value = Callable[[Kept], "bool | None"]


class Noise(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the disagreement before a change.

    Attributes:
        share: of samples with a yes in the baseline.
        discordance: share of samples on which two runs without a change disagree, above 0.
        design_effect: of clusters, on the paired difference; at least 1.
        cluster_size: samples in the cluster of a sample, on average over samples; at least 1.
        known_by: where it comes from, in words.
    """

    share: float
    discordance: float
    design_effect: float
    known_by: str
    cluster_size: float = 1.0

    def discordance_at(self, shift: float) -> float:
        """Share of samples on which they disagree when the share of yes has moved by `shift`.

        As if every sample's chance of a yes had moved by that much: with chances p and p + s a pair disagrees with
        probability 2 p (1 - p) + s (1 - 2 p).
        """
        return min(1.0, max(self.discordance + shift * (1 - 2 * self.share), abs(shift), 1e-9))


def noise_of(old: Sequence[Kept], new: Sequence[Kept], value: Value) -> Noise | None:
    """The noise of a metric, from the best source there is: the new run, the baseline's own repeats, or an assumption.

    Args:
        old: rows of the baseline, of all arms.
        new: rows of the new run; may be empty.
        value: yes or no of a row; None where it has none.

    Returns:
        None where the baseline has no value at all.
    """
    first = _first(old, value)
    if not first:
        return None
    share = sum(found for found, _ in first.values()) / len(first)
    if new:
        others = _first(new, value)
        pairs = [(others[id][0], found, group) for id, (found, group) in first.items() if id in others]
        if pairs:
            shift = (sum(a for a, _, _ in pairs) - sum(b for _, b, _ in pairs)) / len(pairs)
            seen, design, size = _pairs(pairs)
            # the change that is seen has its own part in the disagreement, which is not noise
            unchanged = max(seen - shift * (1 - 2 * share), discordance_seen(0, 0, len(pairs)))
            text = f"seen between the two runs on {len(pairs):,} samples"
            return Noise(share=share, discordance=unchanged, design_effect=design, known_by=text, cluster_size=size)
    again = [(_yes(row, value), first[row.id]) for row in old if _is_repeat(row) and row.id in first]
    twice = [(found, was, group) for found, (was, group) in again if found is not None]
    if twice:
        seen, design, size = _pairs(twice)
        text = f"seen between the baseline's own repeats on {len(twice):,} pairs"
        return Noise(share=share, discordance=seen, design_effect=design, known_by=text, cluster_size=size)
    assumed = max(stats.discordance_if_independent(share, share), discordance_seen(0, 0, len(first)))
    design, size = _design([(found, False, group) for found, group in first.values()])
    text = (
        "assumed, as if both runs were right or wrong independently of each other: mostly too much; a new run, or a "
        "baseline with --repeat-check, says more"
    )
    return Noise(share=share, discordance=assumed, design_effect=design, known_by=text, cluster_size=size)


def _first(rows: Iterable[Kept], value: Value) -> dict[str, tuple[bool, str]]:
    found = ((row, _yes(row, value)) for row in rows if row.arm == AGENT and row.repeat == 0)
    return {row.id: (yes, row.group) for row, yes in found if yes is not None}


def _yes(row: Kept, value: Value) -> bool | None:
    return None if row.verdict.is_error else value(row)


def _is_repeat(row: Kept) -> bool:
    return (row.arm == AGENT and row.repeat > 0) or row.arm == AGAIN


def _pairs(pairs: Sequence[tuple[bool, bool, str]]) -> tuple[float, float, float]:
    """Discordance, and the design effect of the difference with the size of a cluster."""
    new_only = sum(a and not b for a, b, _ in pairs)
    old_only = sum(b and not a for a, b, _ in pairs)
    return discordance_seen(new_only, old_only, len(pairs)), *_design(pairs)


def _design(pairs: Sequence[tuple[bool, bool, str]]) -> tuple[float, float]:
    new, old, groups = zip(*pairs, strict=True)
    try:
        found = effective_pairs(new, old, groups)
    except stats.StatsUnavailable:
        return 1.0, 1.0
    return found.seen, found.cluster_size
