"""The checks of a gate, one small class for each kind of rule."""

from evalkit.gate.checks.census import Census
from evalkit.gate.checks.change import Change
from evalkit.gate.checks.found import Check, Found, judged
from evalkit.gate.checks.noninferior import NonInferior
from evalkit.gate.checks.value import Value
from evalkit.gate.rules import GateRule, Kind

__all__ = ["Census", "Change", "Check", "Found", "NonInferior", "Value", "check_of", "judged"]


def check_of(rule: GateRule, confidence: float) -> Check:
    """The check that a rule asks for."""
    if rule.metric == "errors":
        return Census(rule)
    if rule.kind is Kind.NONINFERIOR:
        return NonInferior(rule, confidence)
    return (Change if rule.against else Value)(rule, confidence)
