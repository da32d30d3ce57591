"""How sure a gate is: the levels of what it says."""

from __future__ import annotations


def fail_level(confidence: float) -> float:
    """One-sided level of all failures together, after Holm's adjustment: the false alarms of a gate at most."""
    return 1 - confidence


def pass_level(confidence: float) -> float:
    """One-sided level of each pass: a change that reaches the limit passes that check no more often.

    A gate passes when all of its checks do, so their levels need no adjustment: R. L. Berger, Multiparameter hypothesis
    testing and acceptance sampling, Technometrics 24 (1982).
    """
    return (1 - confidence) / 2
