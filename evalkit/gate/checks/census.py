"""Errors of the harness: counted, not estimated."""

from __future__ import annotations

from evalkit.gate.checks.found import Found, noted, value_text
from evalkit.gate.contrasts import Contrast
from evalkit.gate.result import Status
from evalkit.gate.rules import GateRule


class Census:
    """`errors:max:limit`: beyond the limit the gate itself has failed, and says nothing of the change."""

    def __init__(self, rule: GateRule) -> None:
        self.rule = rule

    def look(self, contrast: Contrast) -> Found:
        """See `Check`."""
        rule, new = self.rule, contrast.new
        share = new.value or 0.0
        within = share <= rule.limit
        why = f"{value_text(rule, share)} of {new.n:,} rows, {'limit' if within else 'more than'} {rule.limit:.2%}"
        return Found(
            rule=rule,
            status=Status.PASS if within else Status.ERROR,
            why=noted(why, contrast),
            new=new,
            limit=rule.limit,
        )
