"""Whether calls went where they were needed, in the new run and the baseline."""

from __future__ import annotations

from evalkit.analysis.figure import Figure
from evalkit.analysis.need import need_figures
from evalkit.analysis.pairs import Pair, pair_up
from evalkit.gate.contrasts import Contrast, Unavailable
from evalkit.gate.contrasts.apart import Apart, at_confidence
from evalkit.gate.evidence.run import Run
from evalkit.gate.metrics import RAW
from evalkit.gate.rules import GateRule
from evalkit.records import DIRECT, Rule

_NAMES = {"redundant_rate": "redundant_rate", "need_precision": "precision", "need_recall": "recall"}


def is_need(metric: str) -> bool:
    """Whether a metric is one of those."""
    return metric.removesuffix(RAW) in _NAMES


def need(rule: GateRule, old: Run, new: Run, whose: Rule, confidence: float) -> Contrast:
    """A need figure by the first answer without tools; against the baseline over the samples that both have.

    Raises:
        Unavailable: a run that is needed was not run without tools.
    """
    ours = _pairs(new, rule, whose)
    if not rule.against:
        return Apart(_figure(ours, rule, confidence), None, confidence=confidence, notes=(_counted(rule),))
    theirs = _pairs(old, rule, whose)
    both = [id for id in theirs if id in ours]
    return Apart(
        _figure({id: ours[id] for id in both}, rule, confidence),
        _figure({id: theirs[id] for id in both}, rule, confidence),
        confidence=confidence,
        paired=len(both),
        notes=(_counted(rule),),
    )


def _pairs(run: Run, rule: GateRule, whose: Rule) -> dict[str, Pair]:
    if not any(row.arm == DIRECT for row in run.rows):
        raise Unavailable(f"{run.side.label} has no answers without tools (evalkit run --counterfactual)")
    found = pair_up((row.rollout(whose) for row in run.rows), drawn_apart=run.side.info.drawn_apart)
    return {pair.agent.id: pair for pair in found.rows if rule.category in ("", pair.agent.category)}


def _figure(pairs: dict[str, Pair], rule: GateRule, confidence: float) -> Figure:
    both = getattr(need_figures(list(pairs.values()))[0], _NAMES[rule.metric.removesuffix(RAW)])
    found: Figure = both.raw if rule.metric.endswith(RAW) else both.corrected
    return at_confidence(found, confidence)


def _counted(rule: GateRule) -> str:
    return "lucky guesses included" if rule.metric.endswith(RAW) else "corrected for lucky guesses"
