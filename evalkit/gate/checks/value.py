"""At most, or at least: the new run alone."""

from __future__ import annotations

from evalkit.gate.checks.found import Found, enough_text, noted, value_text
from evalkit.gate.contrasts import Contrast, Direction
from evalkit.gate.contrasts.contrast import enough, tail
from evalkit.gate.result import Status
from evalkit.gate.rules import GateRule, Kind


class Value:
    """`metric:max:limit` and `metric:min:limit`: as `Change`, for the value itself and not its distance."""

    def __init__(self, rule: GateRule, confidence: float) -> None:
        self.rule, self.confidence = rule, confidence

    def look(self, contrast: Contrast) -> Found:
        """See `Check`."""
        rule, new = self.rule, contrast.new
        side = Direction.ABOVE if rule.kind is Kind.MAX else Direction.BELOW
        end = new.high if side is Direction.ABOVE else new.low
        status, needed, limit = Status.INCONCLUSIVE, None, value_text(rule, rule.limit)
        if end is None:
            needed = contrast.fewest
            why = f"the value has no interval, because {new.why}{enough_text(needed)}"
        elif (rule.limit - end) * side >= 0:
            status = Status.PASS
            why = f"{'at most' if side is Direction.ABOVE else 'at least'} {value_text(rule, end)}, limit {limit}"
        else:
            needed = enough(new, rule.limit, side, new.n, self.confidence)
            why = f"it may be {value_text(rule, end)}, beyond {limit}, and is not shown to be{enough_text(needed)}"
        seen = "" if new.value is None else f" ({value_text(rule, new.value)})"
        return Found(
            rule=rule,
            status=status,
            why=noted(why, contrast),
            failed=noted(f"significantly beyond the limit of {limit}{seen}", contrast),
            new=new,
            limit=rule.limit,
            p=tail(new, rule.limit, side, self.confidence),
            needed=needed,
        )
