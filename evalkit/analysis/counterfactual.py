"""Did it need its tools? The same samples with tools and without, in one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from evalkit.analysis.effect import Difference, difference, missed, missed_rate
from evalkit.analysis.figure import Figure, codes_of, figure, share_of
from evalkit.analysis.need import Corrected, NeedFigures, need_figures
from evalkit.analysis.pairs import Pair, Pairs, pair_up
from evalkit.analysis.rollout import Rollout, rollouts_of
from evalkit.records import DIRECT, Record, Rule


class Cells(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs by right with tools and right without; the four exclude one another.

    Attributes:
        kept: right with tools and without.
        gain: right with, wrong without.
        harm: wrong with, right without.
        lost: wrong with and without.
    """

    kept: int = 0
    gain: int = 0
    harm: int = 0
    lost: int = 0

    @property
    def n(self) -> int:
        """All pairs."""
        return self.kept + self.gain + self.harm + self.lost

    @property
    def right_with(self) -> int:
        """Right with tools."""
        return self.kept + self.gain

    @property
    def right_without(self) -> int:
        """Right without tools."""
        return self.kept + self.harm


class Arbitration(msgspec.Struct, frozen=True, kw_only=True):
    """When it called, and what came of it.

    The eight cells of `called` and `abstained` exclude one another, and together they are all pairs. The names of the
    field are sums of them and do overlap: a redundant call can also be a harm, and a gain or a harm in `abstained` had
    no call to come from (other draws, or a prompt that tells of tools).

    | name | cells |
    |---|---|
    | gain | called.gain + abstained.gain |
    | harm | called.harm + abstained.harm |
    | redundant | called.kept + called.harm |
    | futile | called.lost |
    | abstained well | abstained.kept + abstained.gain |
    | missed | those of abstained.harm + abstained.lost that are right when forced to call |

    Attributes:
        pairs: samples with a scored trajectory on both sides.
        called: pairs in which at least one call ran.
        abstained: pairs in which none ran.
        shares: the six names, as shares of all pairs.
        missed_rate: missed, of the pairs without a call and wrong; those that were forced and scored alone count.
        difference: accuracy with tools minus without.
        need: how well the decision to call follows the need, by each way to count the answers without tools.
    """

    pairs: int
    called: Cells
    abstained: Cells
    shares: dict[str, Figure]
    missed_rate: Corrected
    difference: Difference
    need: tuple[NeedFigures, ...]


class Counterfactual(msgspec.Struct, frozen=True, kw_only=True):
    """The arms of a run against each other.

    Attributes:
        overall: all pairs.
        by_category: the same per category, where there are at least two.
        left_out: samples that make no pair, by reason.
        asked_anyway: pairs whose trajectory without tools still asked for one; such a call is not run.
        not_forced: trajectories of the forced arm without a call; they say nothing about what a call would do.
        incomplete: pairs with fewer scored draws without tools than k, left out of the figures over all k.
        rule: whose verdicts.
    """

    overall: Arbitration
    by_category: dict[str, Arbitration]
    left_out: dict[str, int]
    asked_anyway: int
    not_forced: int
    incomplete: int
    rule: Rule


def counterfactual(
    records: Iterable[Record], rule: Rule = Rule.STRICT, *, drawn_apart: bool = False
) -> Counterfactual | None:
    """The table of a run with the arms `agent` and `direct`, and `forced` where it is there.

    Args:
        records: of one run, one per key; other arms and further repeats of the agent are ignored.
        rule: whose verdicts.
        drawn_apart: see `pair_up`.

    Returns:
        None where no sample was run without tools.
    """
    return counterfactual_of(rollouts_of(records, rule), rule, drawn_apart=drawn_apart)


def counterfactual_of(
    rollouts: Sequence[Rollout], rule: Rule = Rule.STRICT, *, drawn_apart: bool = False
) -> Counterfactual | None:
    """See `counterfactual`."""
    if not any(one.arm == DIRECT for one in rollouts):
        return None
    pairs = pair_up(rollouts, drawn_apart=drawn_apart)
    groups: dict[str, list[Pair]] = {}
    for pair in pairs.rows:
        groups.setdefault(pair.agent.category, []).append(pair)
    several = len(groups) > 1
    return Counterfactual(
        overall=arbitration(pairs.rows, pairs),
        by_category={name: arbitration(groups[name], pairs) for name in sorted(groups) if name and several},
        left_out=pairs.left_out,
        asked_anyway=pairs.asked_anyway,
        not_forced=pairs.not_forced,
        incomplete=sum(len(pair.drawn) < pairs.draws for pair in pairs.rows),
        rule=rule,
    )


def arbitration(rows: Sequence[Pair], run: Pairs) -> Arbitration:
    """The table of some of a run's pairs.

    Args:
        rows: the pairs to count.
        run: all of them, for what was tried at all.
    """
    clusters = codes_of([pair.agent.cluster for pair in rows])

    def of_all(wanted: Callable[[Pair], bool]) -> Figure:
        return figure(lambda: share_of([wanted(pair) for pair in rows], clusters), len(rows))

    return Arbitration(
        pairs=len(rows),
        called=_cells([pair for pair in rows if pair.called]),
        abstained=_cells([pair for pair in rows if not pair.called]),
        shares={
            "gain": of_all(lambda pair: pair.right_with and not pair.right_without),
            "harm": of_all(lambda pair: pair.right_without and not pair.right_with),
            "redundant": of_all(lambda pair: pair.called and pair.right_without),
            "futile": of_all(lambda pair: pair.called and not pair.right_with and not pair.right_without),
            "abstained well": of_all(lambda pair: not pair.called and pair.right_with),
            "missed": figure(lambda: missed(rows, run), len(rows)),
        },
        missed_rate=missed_rate(rows, run),
        difference=difference(rows, clusters),
        need=need_figures(rows, run.draws),
    )


def _cells(rows: Sequence[Pair]) -> Cells:
    def count(right_with: bool, right_without: bool) -> int:
        return sum(pair.right_with == right_with and pair.right_without == right_without for pair in rows)

    return Cells(kept=count(True, True), gain=count(True, False), harm=count(False, True), lost=count(False, False))
