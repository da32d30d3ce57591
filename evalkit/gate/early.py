"""The gate and runs that may stop early: its rules as questions to a run, and the answers that a run has recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.analysis.kept import Kept, kept_of
from evalkit.analysis.side import side_of
from evalkit.errors import EvalkitError
from evalkit.gate.baseline import Baseline, Means, Samples
from evalkit.gate.checks import Found
from evalkit.gate.differences import paired
from evalkit.gate.evidence.run import value_of
from evalkit.gate.levels import fail_level, pass_level
from evalkit.gate.result import Status
from evalkit.gate.rules import GateRule, Kind, check_rules, parse_rule
from evalkit.records import AGENT, RECORD_VERSION, Outcome, Record, Rule, Sample, StopReason, Trajectory, Verdict
from evalkit.runs.decided import FAIL_ALPHA, PASS_ALPHA, Question
from evalkit.runs.folder import RunInfo
from evalkit.runs.looks import FAILED, PASSED, EarlyStop

DECIDABLE = ("accuracy", "accuracy_official", "tool_rate", "tool_rate_ok", "unparsed")
"""Metrics with a yes or no per sample."""
_KEYS = ("metric", "kind", "limit", "against", "relative", "category")


def read_rules(texts: Iterable[str]) -> tuple[GateRule, ...]:
    """The rules of `--stop-when-decided`.

    Raises:
        EvalkitError: one is no rule, contradicts another, or cannot be decided while a run goes on.
    """
    rules = tuple(dict.fromkeys(parse_rule(text) for text in texts))
    for rule in rules:
        if rule.metric not in DECIDABLE:
            raise EvalkitError(
                f"--stop-when-decided {rule.text}: {rule.metric} has no yes or no per sample, so it cannot be decided "
                f"while a run goes on; {', '.join(DECIDABLE)} can"
            )
        if not rule.against or rule.relative:
            raise EvalkitError(
                f"--stop-when-decided {rule.text}: only a distance from the baseline in points can be decided while a "
                "run goes on, e.g. accuracy:noninferior:3pt or tool_rate:max:+5pt"
            )
    check_rules(rules)
    return rules


def questions_of(rules: Sequence[GateRule], held: Baseline, verdicts: Rule) -> tuple[Question, ...]:
    """The rules as tests against a baseline's first run of each sample.

    Raises:
        EvalkitError: the baseline has no samples, or none with a value.
    """
    if isinstance(held, Means):
        raise EvalkitError(f"--baseline {held.name}: a published mean has no samples, so nothing can be paired")
    return tuple(_question(rule, held, verdicts) for rule in rules)


def _question(rule: GateRule, held: Samples, verdicts: Rule) -> Question:
    value = value_of(rule.metric, verdicts)

    def of(row: Kept) -> bool | None:
        found = None if row.verdict.is_error else value(row)
        return None if found is None else bool(found)

    first = {row.id: of(row) for row in held.rows if row.arm == AGENT and row.repeat == 0}
    known = {id: found for id, found in first.items() if found is not None}
    if not known:
        raise EvalkitError(f"--stop-when-decided {rule.text}: {held.name} has no sample with {rule.metric}")
    upwards = rule.kind is Kind.MAX or (rule.kind is Kind.NONINFERIOR and rule.about.better < 0)
    margin = rule.kind is Kind.NONINFERIOR
    limit = rule.limit if upwards or not margin else -rule.limit
    return Question(
        rule=rule.text,
        value=lambda record: of(kept_of(_without_images(record))),
        baseline=known,
        upwards=upwards,
        fail_limit=0.0 if margin else limit,
        pass_limit=limit,
    )


def digest_of(questions: Iterable[Question], verdicts: Rule) -> str:
    """What tells two baselines apart: the values that the rules are tested on."""
    parts = [(question.rule, sorted(question.baseline.items())) for question in questions]
    return hashlib.sha256(msgspec.json.encode((verdicts, parts))).hexdigest()[:16]


def check_samples(held: Samples, info: RunInfo, samples: Iterable[Sample], verdicts: Rule) -> None:
    """Refuse a baseline that a run of these samples could not be held against.

    Raises:
        EvalkitError: it is of another task, version, options or questions; a line for each.
    """
    prompts = {row.id: row.prompt for row in held.rows}
    asked = (msgspec.structs.replace(_asked(s), prompt=prompts.get(s.id, "")) for s in samples)
    new = side_of(info, asked, Path(str(info.config["task"]["name"])), "the run", Rule.STRICT)
    try:
        paired(side_of(held.info, held.rows, Path(held.name), "the baseline", verdicts), new, ())
    except EvalkitError as error:
        # a run that stops must rest on the same questions: there is no option to compare others all the same
        lines = (line.partition("; --allow-different")[0] for line in str(error).splitlines())
        raise EvalkitError("\n".join(f"--stop-when-decided: {line}" for line in lines)) from None


class Settled(msgspec.Struct, frozen=True):
    """What a run's own looks say to a gate.

    Attributes:
        stop: its record.
    """

    stop: EarlyStop

    def found(self, found: Found) -> Found:
        """A check with the recorded verdict in place of a test at the end, which would be one look too many."""
        if found.rule.metric == "errors":
            return found
        text = next((text for text in self.stop.rules if _same(parse_rule(text), found.rule)), "")
        if not text and self.stop.stopped_after is None:
            # the looks have spent what all tests together may err
            spent = f"; it cannot fail here: the looks for {', '.join(self.stop.rules)} have spent the error rate"
            return msgspec.structs.replace(found, p=None, why=found.why + ("" if found.p is None else spent))
        status, why = self._verdict(text)
        return msgspec.structs.replace(found, status=status, why=why, p=None, needed=None)

    def _verdict(self, text: str) -> tuple[Status, str]:
        stop = self.stop
        if not text:
            why = f"the run was stopped early to decide {', '.join(stop.rules)}; run its other rows to test this rule"
            return Status.INCONCLUSIVE, why
        decision = stop.decisions.get(text)
        if decision:
            return {PASSED: Status.PASS, FAILED: Status.FAIL}[decision], f"decided while it ran: {stop.why(text)}"
        if stop.finished:
            return Status.INCONCLUSIVE, f"not decided at any of the {len(stop.looks)} looks that were taken"
        return Status.INCONCLUSIVE, "not decided so far, and looks are left: run the same command again to go on"


def settled(info: RunInfo, held: Baseline, verdicts: Rule, confidence: float) -> Settled | None:
    """What a run's own looks say to a gate against a baseline; None where it took none, or all rows ran without a stop.

    Raises:
        EvalkitError: it was stopped early for another baseline, under another rule of scoring or confidence.
    """
    stop = info.early_stop
    if stop is None or not stop.looks:
        return None
    why = _other(stop, held, verdicts, confidence)
    if not why:
        return Settled(stop)
    if stop.stopped_after is None:
        return None
    raise EvalkitError(
        f"the new run was stopped early, {why}: take the same, or run its other rows first (the same command without "
        "--stop-when-decided)"
    )


def _other(stop: EarlyStop, held: Baseline, verdicts: Rule, confidence: float) -> str:
    """Why the looks do not answer this gate's question; "" where they do."""
    if isinstance(held, Means):
        return f"against {stop.baseline} and not against published figures"
    if stop.verdicts != verdicts:
        return f"by its verdicts under --rule {stop.verdicts}"
    if abs(fail_level(confidence) - stop.fail_alpha) > 1e-9 or abs(pass_level(confidence) - stop.pass_alpha) > 1e-9:
        return f"at a confidence of {1 - stop.fail_alpha:g}"
    try:
        same = digest_of(questions_of(read_rules(stop.rules), held, verdicts), verdicts) == stop.baseline_digest
    except EvalkitError:
        same = False
    return "" if same else f"against another baseline ({stop.baseline})"


def early_notes(new: RunInfo, held: Baseline) -> list[str]:
    """What a reader must know of runs that were stopped early."""
    infos = {"the new run": new} if isinstance(held, Means) else {"the new run": new, "the baseline": held.info}
    return [f"{name} was {i.early_stop.note}" for name, i in infos.items() if i.early_stop and i.early_stop.note]


def new_stop(rules: Sequence[GateRule], held: Baseline, verdicts: Rule, digest: str) -> Mapping[str, Any]:
    """The part of an `EarlyStop` that is the gate's to say."""
    return {
        "rules": tuple(rule.text for rule in rules),
        "baseline": held.name,
        "baseline_digest": digest,
        "verdicts": verdicts.value,
        "fail_alpha": FAIL_ALPHA,
        "pass_alpha": PASS_ALPHA,
    }


def _same(one: GateRule, other: GateRule) -> bool:
    return all(getattr(one, key) == getattr(other, key) for key in _KEYS)


def _asked(sample: Sample) -> Kept:
    """A sample as if a run had it already."""
    return kept_of(
        Record(
            version=RECORD_VERSION,
            sample=msgspec.structs.replace(sample, images=()),
            trajectory=Trajectory(prompt="", stop=StopReason.ANSWERED),
            outcome=Outcome(verdict=Verdict.INCORRECT),
        )
    )


def _without_images(record: Record) -> Record:
    """The digest of images that `kept_of` makes would read their files."""
    return msgspec.structs.replace(record, sample=msgspec.structs.replace(record.sample, images=()))
