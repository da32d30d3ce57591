"""What `run.json` says of a run that was looked at before all rows were in, and of why it stopped."""

from __future__ import annotations

import msgspec

PASSED, FAILED = "pass", "fail"


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """One rule at one look.

    Attributes:
        rule: as written.
        pairs: rows with a score in both runs.
        only_new: those of them for which only this run has a yes (right, called, ...).
        only_old: those for which only the baseline has.
        fail_p: one-sided, of "not beyond the limit".
        fail_level: what it must not exceed for the rule to fail here.
        pass_p: one-sided, of "not within the margin".
        pass_level: what it must not exceed for the rule to pass here.
        decision: `PASSED`, `FAILED`, or "" where the rule is still open.
    """

    rule: str
    pairs: int
    only_new: int
    only_old: int
    fail_p: float
    fail_level: float
    pass_p: float
    pass_level: float
    decision: str = ""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One look.

    Attributes:
        rows: how many rows it rests on: the first ones in the run's order.
        last: whether all rows were in.
        tested: the rules that were open until then.
    """

    rows: int
    last: bool
    tested: tuple[Tested, ...]


class EarlyStop(msgspec.Struct, kw_only=True):
    """The rules under which a run may stop early, the looks that were taken, and what came of them.

    Attributes:
        rules: as written, in order.
        baseline: as the user named it.
        baseline_digest: of the baseline's values that the rules are tested on.
        verdicts: "strict" or "official": whose verdicts count.
        fail_alpha: one-sided error rate of a failure, all rules together.
        pass_alpha: one-sided error rate of each rule's pass.
        spending: how they are spread over the looks, see `evalkit.stats.Spending`.
        seed: of the order in which the rows run.
        planned: rows at each look, in the run's order.
        looks: those taken, in order.
        stopped_after: rows that the run has where it was stopped early; None where it was not, or has gone on since.
        went_on: whether it has gone on, without these rules, after they were decided.
    """

    rules: tuple[str, ...]
    baseline: str
    baseline_digest: str
    verdicts: str
    fail_alpha: float
    pass_alpha: float
    spending: str
    seed: int
    planned: tuple[int, ...]
    looks: list[Look] = []
    stopped_after: int | None = None
    went_on: bool = False

    @property
    def decisions(self) -> dict[str, str]:
        """`PASSED` or `FAILED` of each rule that is decided."""
        return {found.rule: found.decision for look in self.looks for found in look.tested if found.decision}

    @property
    def decision(self) -> str:
        """`FAILED` as soon as one rule fails, `PASSED` when all have passed, "" before."""
        found = self.decisions
        if FAILED in found.values():
            return FAILED
        return PASSED if len(found) == len(self.rules) else ""

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to look at: it is decided, or the last look was taken."""
        return bool(self.decision) or any(look.last for look in self.looks)

    def why(self, rule: str = "") -> str:
        """One line: what was decided, at which look and on how many pairs; of one rule, or of all that are decided."""
        return "; ".join(
            f"{found.rule} {_SAID[found.decision]} against {self.baseline} at look {number} of {len(self.planned)} "
            f"({look.rows} of {self.planned[-1]} rows; of {found.pairs} pairs {found.only_new} only here, "
            f"{found.only_old} only there; one-sided p {_p(found)})"
            for number, look in enumerate(self.looks, 1)
            for found in look.tested
            if found.decision and rule in ("", found.rule)
        )

    @property
    def note(self) -> str:
        """What a reader of the run's figures must know; "" where it was not stopped early."""
        if self.stopped_after is None:
            return ""
        said = ", ".join(f"{rule} {_SAID[decision]}" for rule, decision in self.decisions.items())
        return (
            f"stopped early by its looks ({said} against {self.baseline}): its {self.stopped_after} rows are a random "
            f"part of {self.planned[-1]}, and its figures overstate what stopped it"
        )


_SAID = {PASSED: "passed", FAILED: "failed"}


def _p(found: Tested) -> str:
    failed = found.decision == FAILED
    p, level = (found.fail_p, found.fail_level) if failed else (found.pass_p, found.pass_level)
    return f"{p:.2g} where {level:.2g} was enough"
