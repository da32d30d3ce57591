"""Does a change make the agent worse? A new run, a baseline, rules, and one exit code."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from evalkit.analysis.config_diff import ASKED, Made, config_differences
from evalkit.analysis.flips import Flip, flip
from evalkit.analysis.kept import read_kept
from evalkit.analysis.pairing import Overlap
from evalkit.analysis.side import side_of
from evalkit.errors import EvalkitError, ExitCode, NothingEvaluatedError, one_line, unknown, worst
from evalkit.gate.baseline import Baseline, Means, Samples, shown
from evalkit.gate.checks import Found, check_of, judged
from evalkit.gate.contrasts import Unavailable
from evalkit.gate.differences import ALLOWED, paired
from evalkit.gate.early import early_notes, settled
from evalkit.gate.evidence import PairedEvidence, PublishedEvidence, Run, run_of
from evalkit.gate.opening import open_baseline
from evalkit.gate.result import SCHEMA, CheckResult, GateResult, Status
from evalkit.gate.rules import GateRule, default_rules, rules_for
from evalkit.records import AGENT, Rule
from evalkit.runs.folder import read_info

_CODES = {
    Status.PASS: ExitCode.OK,
    Status.FAIL: ExitCode.REGRESSION,
    Status.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    Status.ERROR: ExitCode.INFRASTRUCTURE,
}
_SETTINGS = 8
"""Settings that differ and are named."""


def run_gate(
    new: Path,
    baseline: Baseline | str | Path,
    rules: Iterable[GateRule] | None = None,
    *,
    rule: Rule = Rule.STRICT,
    allow_different: Collection[str] = (),
    confidence: float = 0.95,
) -> GateResult:
    """Hold a new run against a baseline.

    Without a change the gate fails with a chance of at most 1 - confidence, all checks together (Holm); a change as
    large as a check's limit passes that check with a chance of at most (1 - confidence) / 2.

    Args:
        new: a run folder.
        baseline: see `open_baseline`.
        rules: those of other benchmarks are left out; None for evalkit's own.
        rule: whose verdicts count.
        allow_different: those of `evalkit.gate.differences.ALLOWED` in which they may differ.
        confidence: see above, in (0.5, 1).

    Raises:
        NothingEvaluatedError: the new run has no finished trajectory.
        DataError: a run or an archive cannot be read.
        EvalkitError: the two cannot be compared, or rules contradict each other; a line for each reason.
    """
    if not 0.5 < confidence < 1:
        raise EvalkitError(f"the confidence lies between 0.5 and 1, not {confidence:g} (95 % is 0.95)")
    for word in allow_different:
        if word not in ALLOWED:
            raise unknown("difference to allow", word, ALLOWED, "evalkit gate --help")
    held = open_baseline(baseline) if isinstance(baseline, str | Path) else baseline
    mine = _new_run(new, rule)
    task = str(mine.side.task["name"])
    wanted = rules_for(default_rules() if rules is None else rules, task)
    evidence: PairedEvidence | PublishedEvidence
    flips: tuple[Flip, ...] = ()
    overrides: tuple[str, ...] = ()
    notes: list[str] = []
    categories = {unit.category for unit in mine.side.units.values() if unit.category}
    if isinstance(held, Means):
        evidence = PublishedEvidence(held, mine, rule=rule, confidence=confidence)
        notes.append(f"{held.name} is a published mean without samples: nothing is paired")
    else:
        other = _old_run(held, rule)
        categories |= {unit.category for unit in other.side.units.values() if unit.category}
        pairs, overlap, overrides = paired(other.side, mine.side, allow_different)
        evidence = PairedEvidence(other, mine, pairs, rule=rule, confidence=confidence)
        flips = tuple(flipped for pair in pairs if (flipped := flip(pair)))
        if isinstance(baseline, str | Path) and Path(baseline).resolve() == new.resolve():
            notes.append("the baseline is the new run itself: nothing can differ")
        notes += [*_left_out(overlap), *_settings(other, mine)]
    notes += early_notes(mine.side.info, held)
    _check_categories(wanted, categories, task)
    found: list[Found] = []
    skipped: list[str] = []
    for one in wanted:
        try:
            found.append(check_of(one, confidence).look(evidence.contrast(one)))
        except Unavailable as error:
            if one.default and one.metric == "tool_rate":
                skipped.append(f"{one.text} is left out: {error}")
            else:
                why = f"{one.metric} is not available, because {error}"
                found.append(Found(rule=one, status=Status.ERROR, why=why))
    if (looks := settled(mine.side.info, held, rule, confidence)) is not None:
        found = [looks.found(one) for one in found]
    checks = judged(found, task, confidence)
    return GateResult(
        schema=SCHEMA,
        task=task,
        new=shown(new),
        new_model=mine.side.model,
        baseline=held.name,
        baseline_kind=held.kind,
        baseline_model=held.model,
        confidence=confidence,
        checks=checks,
        flips=flips,
        overrides=overrides,
        notes=tuple(notes + skipped),
        exit_code=_exit_code(checks),
    )


def _exit_code(checks: Sequence[CheckResult]) -> ExitCode:
    return worst(_CODES[check.status] for check in checks)


def _new_run(folder: Path, rule: Rule) -> Run:
    info, rows = read_info(folder), read_kept(folder)
    if not any(row.arm == AGENT for row in rows):
        raise NothingEvaluatedError(f"{folder} has no finished trajectory of the agent: nothing was evaluated")
    return run_of(side_of(info, rows, folder, "the new run", rule), rows)


def _old_run(held: Samples, rule: Rule) -> Run:
    return run_of(side_of(held.info, held.rows, Path(held.name), "the baseline", rule), held.rows)


def _check_categories(rules: Sequence[GateRule], known: Collection[str], task: str) -> None:
    for rule in rules:
        if rule.category and rule.category not in known:
            raise unknown(f"category of {one_line(task, 60)}", rule.category, known, "evalkit compare")


def _left_out(overlap: Overlap) -> list[str]:
    parts = {
        "only in the baseline": len(overlap.only_old),
        "only in the new run": len(overlap.only_new),
        "an error in the baseline": len(overlap.errors_old),
        "an error in the new run": len(overlap.errors_new),
    }
    named = [f"{count} {what}" for what, count in parts.items() if count]
    return [f"{overlap.pairs} samples are paired; left out: {', '.join(named)}"] if named else []


def _settings(old: Run, new: Run) -> list[str]:
    """Settings of what was asked that differ: mostly the change that is being looked at."""
    differ = config_differences([Made(run.side.info, run.side.scorers) for run in (old, new)])
    asked = [one for one in differ if one.group == ASKED and one.key != "task.fingerprint"]
    each = [f"{one_line(d.key, 60)} {one_line(d.values[0], 60)} -> {one_line(d.values[1], 60)}" for d in asked]
    more = f", and {len(each) - _SETTINGS} more" if len(each) > _SETTINGS else ""
    return [f"settings that differ: {'; '.join(each[:_SETTINGS])}{more}"] if each else []
