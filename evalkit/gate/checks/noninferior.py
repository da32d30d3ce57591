"""Not worse than the baseline by more than a margin."""

from __future__ import annotations

from evalkit.gate.checks.found import Found, difference_text, enough_text, noted
from evalkit.gate.contrasts import Contrast, Direction
from evalkit.gate.result import Status
from evalkit.gate.rules import GateRule


class NonInferior:
    """`metric:noninferior:margin`.

    It holds where the interval of the difference keeps clear of a loss of the margin. It fails where that is not
    shown and the new run is significantly worse, by however little. Else nobody can tell.
    """

    def __init__(self, rule: GateRule, confidence: float) -> None:
        self.rule, self.confidence = rule, confidence

    def look(self, contrast: Contrast) -> Found:
        """See `Check`."""
        rule = self.rule
        side = Direction(-rule.about.better)
        limit = side * rule.limit
        found = contrast.difference(rule.relative)
        end = found.high if side is Direction.ABOVE else found.low
        status, needed = Status.INCONCLUSIVE, None
        if end is None:
            needed = contrast.needed(limit, side, rule.relative)
            why = f"the difference has no interval, because {found.why}{enough_text(needed)}"
        elif (limit - end) * side > 0:
            status = Status.PASS
            why = f"at worst {difference_text(rule, end)}, within the margin of {difference_text(rule, limit)}"
        else:
            needed = contrast.needed(limit, side, rule.relative)
            why = (
                f"it may be {difference_text(rule, end)}, beyond the margin of {difference_text(rule, limit)}, "
                f"and no loss is shown{enough_text(needed)}"
            )
        seen = "" if found.value is None else f", {difference_text(rule, found.value)}"
        return Found(
            rule=rule,
            status=status,
            why=noted(why, contrast),
            failed=noted(f"significantly worse{seen}, and a loss of the margin is not ruled out", contrast),
            baseline=contrast.baseline,
            new=contrast.new,
            difference=found,
            limit=limit,
            paired=contrast.paired,
            p=contrast.beyond(0.0, side, rule.relative),
            needed=needed,
        )
