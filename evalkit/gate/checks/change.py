"""At most, or at least, so far from the baseline."""

from __future__ import annotations

from evalkit.gate.checks.found import Found, difference_text, enough_text, noted
from evalkit.gate.contrasts import Contrast, Direction
from evalkit.gate.result import Status
from evalkit.gate.rules import GateRule, Kind


class Change:
    """`metric:max:+limit` and `metric:min:-limit`.

    It holds where the interval of the difference stays within the limit, fails where the difference is significantly
    beyond it, and cannot be told else.
    """

    def __init__(self, rule: GateRule, confidence: float) -> None:
        self.rule, self.confidence = rule, confidence

    def look(self, contrast: Contrast) -> Found:
        """See `Check`."""
        rule = self.rule
        side = Direction.ABOVE if rule.kind is Kind.MAX else Direction.BELOW
        found = contrast.difference(rule.relative)
        end = found.high if side is Direction.ABOVE else found.low
        status, needed, limit = Status.INCONCLUSIVE, None, difference_text(rule, rule.limit)
        if end is None:
            needed = contrast.needed(rule.limit, side, rule.relative)
            why = f"the difference has no interval, because {found.why}{enough_text(needed)}"
        elif (rule.limit - end) * side >= 0:
            status = Status.PASS
            why = f"{'at most' if side is Direction.ABOVE else 'at least'} {difference_text(rule, end)}, limit {limit}"
        else:
            needed = contrast.needed(rule.limit, side, rule.relative)
            why = f"it may be {difference_text(rule, end)}, beyond {limit}, and is not shown to be{enough_text(needed)}"
        seen = "" if found.value is None else f" ({difference_text(rule, found.value)})"
        return Found(
            rule=rule,
            status=status,
            why=noted(why, contrast),
            failed=noted(f"significantly beyond the limit of {limit}{seen}", contrast),
            baseline=contrast.baseline,
            new=contrast.new,
            difference=found,
            limit=rule.limit,
            paired=contrast.paired,
            p=contrast.beyond(rule.limit, side, rule.relative),
            needed=needed,
        )
