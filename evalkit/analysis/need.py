"""Whether the calls went where they were needed: raw, and corrected for lucky guesses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from evalkit.analysis.figure import UNIT, Figure, codes_of, figure, kept_within, mean_of, mirrored, ratio_of
from evalkit.analysis.luck import Parts, fair_ratio, fair_weights, stretched
from evalkit.analysis.pairs import Pair
from evalkit.stats import StatsUnavailable


class Corrected(msgspec.Struct, frozen=True, kw_only=True):
    """One figure twice.

    Attributes:
        raw: as counted: whoever is right without tools did not need them.
        corrected: without the share of lucky guesses in it.
    """

    raw: Figure
    corrected: Figure


class NeedFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The decision to call, as a test for need; the need of a pair is that it is wrong without tools.

    Attributes:
        counting: what "right without tools" means: "first answer", "mean of k", "k of k", "pass@k".
        need: share of pairs that need their tools.
        redundant_rate: called and right without, of the pairs that called.
        redundant_share: called and right without, of all pairs.
        precision: called and in need, of the pairs that called: 1 - redundant_rate.
        recall: called and in need, of the pairs in need.
        f1: harmonic mean of precision and recall.
        correction: what was done about lucky guesses, in words.
    """

    counting: str
    need: Corrected
    redundant_rate: Corrected
    redundant_share: Corrected
    precision: Corrected
    recall: Corrected
    f1: Corrected
    correction: str


class _Row(NamedTuple):
    """One decision; `luck` is the chance that a guesser seems not to need his tools."""

    called: bool
    needs: bool
    luck: float
    cluster: str


def need_figures(pairs: Sequence[Pair], draws: int = 1) -> tuple[NeedFigures, ...]:
    """The need figures by the first answer without tools, and where k were drawn also by all k.

    Correction: a sample is either solved without tools or answered by a guess that is right with chance g = 1 /
    options. A wrong guess stands for 1 / (1 - g) samples in need: itself and the g / (1 - g) lucky ones. A sample
    without an answer stands for itself, and so does a free-form question. With one number of options and no answer
    missing these are `stats.chance_corrected` and `stats.solvable_share`. It holds as far as wrong answers are guesses:
    a model that errs in a system is never lucky, and is then corrected too much.

    Source: the correction for guessing of F. M. Lord, M. R. Novick, Statistical Theories of Mental Test Scores (1968),
    section 14.3 (right - wrong / (options - 1), where what is left out costs nothing); pass@k as need: arXiv
    2604.08545.

    Args:
        pairs: see `Pair`.
        draws: k, see `Pairs`; pairs with fewer scored draws are left out of the figures over all k.
    """
    found = [_figures("first answer", _first(pairs), pairs)]
    apart = any(pair.drawn[:1] != (pair.direct,) for pair in pairs)
    if draws < 1 or (draws == 1 and not apart):
        return tuple(found)
    whole = [pair for pair in pairs if len(pair.drawn) == draws]
    if not whole:
        why = f"no pair has all {draws} scored answers without tools" if pairs else "there is no pair"
        countings = [f"mean of {draws}", *([f"{draws} of {draws}", f"pass@{draws}"] if draws > 1 else [])]
        return (*found, *(_unavailable(counting, why) for counting in countings))
    found.append(_figures(f"mean of {draws}", _mean(whole), whole))
    if draws > 1:
        found.append(_figures(f"{draws} of {draws}", _all(whole), whole, independent=True))
        found.append(_figures(f"pass@{draws}", _any(whole), whole, independent=True))
    return tuple(found)


def correction_of(pairs: Sequence[Pair]) -> str:
    """What the correction for chance does to these samples, in words."""
    options = sorted({pair.agent.options for pair in pairs})
    choices = [count for count in options if count > 1]
    if not choices:
        return "none needed: free-form answers are not guessed"
    span = f"{choices[0]}" if len(choices) == 1 else f"{choices[0]} to {choices[-1]}"
    return f"guessing among {span} options" + (", none for free-form answers" if 0 in options else "")


def _first(pairs: Sequence[Pair]) -> list[_Row]:
    return [_row(pair, not pair.right_without, pair.direct.luck) for pair in pairs]


def _mean(pairs: Sequence[Pair]) -> list[_Row]:
    return [_row(pair, not one.right, one.luck) for pair in pairs for one in pair.drawn]


def _all(pairs: Sequence[Pair]) -> list[_Row]:
    """In need unless all are right; a guesser who never leaves an answer out passes with chance g to the k."""
    rows = []
    for pair in pairs:
        luck = 1.0
        for one in pair.drawn:
            luck *= one.luck
        rows.append(_row(pair, not all(one.right for one in pair.drawn), luck))
    return rows


def _any(pairs: Sequence[Pair]) -> list[_Row]:
    """In need if none is right; a guesser is wrong every time with chance (1 - g) to the answers given."""
    rows = []
    for pair in pairs:
        unlucky = 1.0
        for one in pair.drawn:
            unlucky *= 1 - one.luck
        rows.append(_row(pair, not any(one.right for one in pair.drawn), 1 - unlucky))
    return rows


def _row(pair: Pair, needs: bool, luck: float) -> _Row:
    return _Row(pair.called, needs, luck, pair.agent.cluster)


def _figures(counting: str, rows: Sequence[_Row], pairs: Sequence[Pair], *, independent: bool = False) -> NeedFigures:
    why = _no_correction(pairs, independent=independent)
    raw = _Decisions([row._replace(luck=0.0) for row in rows])
    fair = _Decisions(rows)
    return NeedFigures(
        counting=counting,
        need=_both(raw.need, fair.need, why),
        redundant_rate=_both(raw.redundant_rate, fair.redundant_rate, why),
        redundant_share=_both(raw.redundant_share, fair.redundant_share, why),
        precision=_both(raw.precision, fair.precision, why),
        recall=_both(raw.recall, fair.recall, why),
        f1=_both(raw.f1, fair.f1, why),
        correction=f"not available, because {why}" if why else correction_of(pairs),
    )


def _unavailable(counting: str, why: str) -> NeedFigures:
    none = Corrected(raw=Figure(why=why), corrected=Figure(why=why))
    return NeedFigures(
        counting=counting,
        need=none,
        redundant_rate=none,
        redundant_share=none,
        precision=none,
        recall=none,
        f1=none,
        correction=f"not available, because {why}",
    )


def _both(raw: Callable[[], Figure], fair: Callable[[], Figure], why: str) -> Corrected:
    first = figure(raw)
    second = Figure(n=first.n, why=why) if why else msgspec.structs.replace(figure(fair), count=None)
    return Corrected(raw=first, corrected=second)


class _Decisions:
    """The figures over rows in which each one in need weighs 1 / (1 - luck): an unbiased count of the true need."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        self.rows = rows
        self.clusters = codes_of([row.cluster for row in rows])
        self.needs, self.lucks = [row.needs for row in rows], [row.luck for row in rows]
        self.calls = [row.called for row in rows]
        self.weights = fair_weights(self.needs, self.lucks)
        self.top = max((1 / (1 - luck) for luck in self.lucks), default=1.0)

    def need(self) -> Figure:
        if not self.rows:
            raise StatsUnavailable("there is no pair")
        ones = [1.0] * len(self.rows)
        return self.of(lambda weights: (weights, ones), [True] * len(self.rows), self.top)

    def precision(self) -> Figure:
        if not any(self.calls):
            raise StatsUnavailable("no pair called a tool")
        sizes = [float(called) for called in self.calls]
        return self.of(lambda weights: (self.called(weights), sizes), self.calls, self.top)

    def redundant_rate(self) -> Figure:
        return mirrored(self.precision())

    def recall(self) -> Figure:
        if not any(self.weights):
            raise StatsUnavailable("no pair was wrong without tools")
        return self.counted(ratio_of(self.called(self.weights), self.weights, self.clusters), self.called(self.weights))

    def f1(self) -> Figure:
        def parts(weights: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
            sizes = [called + weight for called, weight in zip(self.calls, weights, strict=True)]
            return [2 * hit for hit in self.called(weights)], sizes

        if not any(self.calls) and not any(self.weights):
            raise StatsUnavailable("no pair called a tool, and none needed one")
        found = self.of(parts, self.calls, 2 * self.top / (1 + self.top))
        return msgspec.structs.replace(found, count=None)

    def redundant_share(self) -> Figure:
        if not self.rows:
            raise StatsUnavailable("there is no pair")
        wasted = [row.called * (1 - weight) for row, weight in zip(self.rows, self.weights, strict=True)]
        if not any(row.called and row.luck for row in self.rows):
            return self.counted(ratio_of(wasted, [1.0] * len(wasted), self.clusters), wasted)
        found = mean_of(wasted, self.clusters, None)
        within = found.high is not None and found.high > 0
        if within and any(row.called and not row.needs for row in self.rows) and not all(self.calls):
            return kept_within(found, UNIT)
        # the spread of rows says nothing of luck that did not happen: the rate's interval does
        rate = stretched(self.redundant_rate(), sum(self.calls) / len(self.rows))
        return msgspec.structs.replace(rate, n=len(self.rows))

    def called(self, values: Sequence[float]) -> list[float]:
        """The values of rows that called, and 0 elsewhere."""
        return [called * value for called, value in zip(self.calls, values, strict=True)]

    def of(self, parts: Parts, among: Sequence[bool], top: float) -> Figure:
        """One ratio; where the weights are counts, with its numerator."""
        found = fair_ratio(self.needs, self.lucks, self.clusters, parts, among=among, top=top)
        return self.counted(found, parts(self.weights)[0])

    def counted(self, found: Figure, above: Sequence[float]) -> Figure:
        return msgspec.structs.replace(found, count=round(sum(above))) if self.top == 1 else found


def _no_correction(pairs: Sequence[Pair], *, independent: bool) -> str:
    """Why lucky guesses cannot be taken out; empty where they can."""
    if lone := next((pair.agent.id for pair in pairs if pair.agent.options == 1), None):
        return f"sample {lone} has one option only"
    guessed = any(pair.agent.options > 1 for pair in pairs)
    if independent and guessed and not any(_differ(pair) for pair in pairs):
        return "repeated answers never differ (temperature 0?), so they are not independent guesses"
    return ""


def _differ(pair: Pair) -> bool:
    """Whether the repeated answers are more than copies of one another."""
    return len({(one.right, one.answer) for one in pair.drawn}) > 1
