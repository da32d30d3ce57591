"""What the tools changed: accuracy with them minus accuracy without, and what a call that was not made would have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from evalkit import stats
from evalkit.analysis.figure import BELOW_CHANCE, Figure, codes_of, figure, kept_within, mean_of, mirrored, share_of
from evalkit.analysis.luck import fair_ratio, least_guessing
from evalkit.analysis.need import Corrected
from evalkit.analysis.pairs import Pair, Pairs
from evalkit.analysis.rollout import Rollout
from evalkit.stats import Interval, StatsUnavailable

if TYPE_CHECKING:
    from evalkit.analysis.figure import Codes

_SIGNED = Interval(-1.0, 1.0)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Accuracy with tools minus accuracy without, over the same samples: gain minus harm.

    Attributes:
        raw: in shares of all pairs.
        corrected: the same of samples solved and not guessed, on both sides.
        p_value: two-sided, of no difference (raw); None where it is not available.
        test: which test gave it.
    """

    raw: Figure
    corrected: Figure
    p_value: float | None = None
    test: str = ""


def _silent_and_wrong(rows: Sequence[Pair]) -> list[Pair]:
    return [pair for pair in rows if not pair.called and not pair.right_with]


def _no_forced(open_: Sequence[Pair], run: Pairs) -> str:
    """Why nothing is known of what a call would have done; empty where something is."""
    if not run.has_forced:
        return "the forced arm was not run"
    if not any(pair.forced for pair in open_):
        return "no pair that was wrong without a call has a scored trajectory with one"
    return ""


def missed(rows: Sequence[Pair], run: Pairs) -> Figure:
    """Did not call, wrong, and right when forced to call; of all pairs.

    Raises:
        StatsUnavailable: a pair that did not call and is wrong was not forced, so that nobody knows.
    """
    open_ = _silent_and_wrong(rows)
    unknown = sum(pair.forced is None for pair in open_)
    if open_ and (why := _no_forced(open_, run)):
        raise StatsUnavailable(why)
    if unknown:
        raise StatsUnavailable(f"{unknown} of {len(open_)} pairs that were wrong without a call have none to compare")
    values = [not p.called and not p.right_with and p.forced is not None and p.forced.right for p in rows]
    return share_of(values, codes_of([pair.agent.cluster for pair in rows]))


def missed_rate(rows: Sequence[Pair], run: Pairs) -> Corrected:
    """Right when forced to call, of the pairs that did not call, are wrong, and were forced."""
    open_ = _silent_and_wrong(rows)
    known = [(pair.forced, pair.agent.cluster) for pair in open_ if pair.forced is not None]
    clusters = codes_of([cluster for _, cluster in known])
    why = "no pair was wrong without a call" if not open_ else _no_forced(open_, run)
    if why:
        return Corrected(raw=Figure(why=why), corrected=Figure(why=why))

    def corrected() -> Figure:
        if any(forced.options == 1 for forced, _ in known):
            raise StatsUnavailable("a sample has one option only")
        wrong, lucks = [not forced.right for forced, _ in known], [forced.luck for forced, _ in known]
        all_, ones, top = [True] * len(known), [1.0] * len(known), 1 / (1 - max(lucks))
        return mirrored(fair_ratio(wrong, lucks, clusters, lambda weights: (weights, ones), among=all_, top=top))

    return Corrected(
        raw=figure(lambda: share_of([forced.right for forced, _ in known], clusters), len(known)),
        corrected=figure(corrected, len(known)),
    )


def difference(rows: Sequence[Pair], clusters: Codes) -> Difference:
    """Accuracy with tools minus accuracy without: interval and test of `stats.paired_difference`.

    The corrected one counts a wrong guess among m options as -1 / (m - 1) on either side, so that lucky guesses
    cancel; see `need_figures` for what that assumes.
    """
    if not rows:
        none = Figure(why="there is no pair")
        return Difference(raw=none, corrected=none)
    new, old = [pair.right_with for pair in rows], [pair.right_without for pair in rows]
    raw = Figure(value=(sum(new) - sum(old)) / len(rows), n=len(rows))
    p_value, test = None, ""
    try:
        found = stats.paired_difference(new, old, clusters)
    except StatsUnavailable as error:
        raw = msgspec.structs.replace(raw, why=error.reason)
    else:
        p_value, test, (low, high) = found.p_value, found.test, found.interval
        raw = msgspec.structs.replace(raw, low=low, high=high, method=found.method)
    corrected = figure(lambda: _solved_difference(rows, clusters, raw), len(rows))
    return Difference(raw=raw, corrected=corrected, p_value=p_value, test=test)


def _solved_difference(rows: Sequence[Pair], clusters: Codes, raw: Figure) -> Figure:
    if any(pair.agent.options == 1 for pair in rows):
        raise StatsUnavailable("a sample has one option only")
    sides = [pair.agent for pair in rows], [pair.direct for pair in rows]
    lucks = {one.luck for side in sides for one in side}
    solved = [_solved(pair.agent) - _solved(pair.direct) for pair in rows]
    seen = all(any(one.right and one.luck for one in side) for side in sides)
    if len(lucks) > 1 and seen and len(set(solved)) > 1:
        found = mean_of(solved, clusters, None)
    else:
        found = _around(sum(solved) / len(solved), raw, 1 / (1 - max(lucks)))
    if raw.low is not None and found.low is not None and found.low >= 1:
        found = _at_bound(msgspec.structs.replace(found, low=raw.low), sides[1], clusters)
    elif raw.high is not None and found.high is not None and found.high <= -1:
        found = _at_bound(msgspec.structs.replace(found, high=raw.high), sides[0], clusters)
    return kept_within(found, _SIGNED)


def _around(value: float, raw: Figure, scale: float) -> Figure:
    """Tango's interval stretched and moved to the corrected value; with one luck for all it is scaled and no more.

    For sides on which nobody was lucky: the spread of corrected values then says nothing of luck.
    """
    if raw.value is None or raw.low is None or raw.high is None:
        return msgspec.structs.replace(raw, value=value)
    low, high = (value + (end - raw.value) * scale for end in (raw.low, raw.high))
    return msgspec.structs.replace(raw, value=value, low=low, high=high)


def _at_bound(one_sided: Figure, side: Sequence[Rollout], clusters: Codes) -> Figure:
    """A difference that is beyond what it can be: no interval where the side has too few right for guesses."""
    guessed = [(one, int(code)) for one, code in zip(side, clusters, strict=True) if one.luck]
    right = sum(one.right for one, _ in guessed)
    if least_guessing([one.luck for one, _ in guessed], right, [code for _, code in guessed]) is not None:
        return one_sided
    return msgspec.structs.replace(one_sided, low=None, high=None, method="", why=BELOW_CHANCE)


def _solved(one: Rollout) -> float:
    """1 for a right answer, and for a wrong guess what cancels the lucky ones, on average."""
    return 1.0 if one.right else -one.luck / (1 - one.luck)
