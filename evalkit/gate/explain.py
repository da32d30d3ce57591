"""What a gate can show: how often it fails and passes when the truth is so, before anything is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from evalkit import stats
from evalkit.analysis.kept import Kept
from evalkit.errors import EvalkitError
from evalkit.gate.baseline import Baseline, Means, Samples, samples_of
from evalkit.gate.contrasts.contrast import POWER
from evalkit.gate.early import DECIDABLE
from evalkit.gate.evidence.run import value_of
from evalkit.gate.explained import POWERS, STEPS, Chance, Explained, Explanation
from evalkit.gate.levels import fail_level, pass_level
from evalkit.gate.noise import Noise, noise_of
from evalkit.gate.opening import open_baseline
from evalkit.gate.rules import GateRule, Kind, default_rules, rules_for
from evalkit.records import AGENT, Rule
from evalkit.stats import StatsUnavailable

SCHEMA = 1
_PRECISION = 1e-5


def explain(
    baseline: Baseline | str | Path,
    rules: Iterable[GateRule] | None = None,
    *,
    n: int | None = None,
    new: Samples | Path | None = None,
    rule: Rule = Rule.STRICT,
    confidence: float = 0.95,
) -> Explanation:
    """What a gate with this baseline can show.

    The chances are counted over all tables of pairs, not simulated; where samples come in clusters, at the number of
    independent samples that carry as much information.

    Args:
        baseline: see `evalkit.gate.baseline.open_baseline`.
        rules: None for evalkit's own.
        n: pairs of samples; None for those of the new run, or of the baseline without one.
        new: a run that shows how much the two disagree; None without one.
        rule: whose verdicts count.
        confidence: see `evalkit.gate.gate.run_gate`.

    Raises:
        DataError: a run or an archive cannot be read.
        EvalkitError: the baseline has no samples, n is no number of samples, or rules contradict each other.
    """
    if n is not None and not 1 <= n <= stats_limit():
        raise EvalkitError(f"{n} is no number of samples that can be planned with (1 to {stats_limit():,})")
    if not 0.5 < confidence < 1:
        raise EvalkitError(f"the confidence lies between 0.5 and 1, not {confidence:g} (95 % is 0.95)")
    held = open_baseline(baseline) if isinstance(baseline, str | Path) else baseline
    if isinstance(held, Means):
        raise EvalkitError(f"{held.name} is a published mean without samples: nothing is paired, so no power is known")
    task = str(held.info.config["task"]["name"])
    run = samples_of(new) if isinstance(new, Path) else new
    if run is not None and (other := str(run.info.config["task"]["name"])) != task:
        raise EvalkitError(f"{run.name} is a run of {other}, and the baseline {held.name} of {task}")
    rows = run.rows if run else ()
    both = _ids(held.rows) & _ids(rows) if rows else _ids(held.rows)
    size = n if n is not None else len(both)
    if not size:
        raise EvalkitError(f"{run.name if run else 'the run'} and {held.name} have no sample with a score in common")
    wanted = rules_for(default_rules() if rules is None else rules, task)
    tests = sum(one.metric != "errors" for one in wanted)
    explained = tuple(_explained(one, held.rows, rows, size / len(both), rule, confidence, tests) for one in wanted)
    return Explanation(
        schema=SCHEMA,
        task=task,
        baseline=held.name,
        new=run.name if run else "",
        n=size,
        confidence=confidence,
        tests=tests,
        false_alarms=_false_alarms(explained, confidence),
        rules=explained,
        notes=tuple(_notes(explained, held.rows, rows)),
    )


def stats_limit() -> int:
    """The most samples that can be planned with."""
    from evalkit.stats.power import MAX_N

    return MAX_N


def _ids(rows: Iterable[Kept]) -> set[str]:
    return {row.id for row in rows if row.arm == AGENT and not row.verdict.is_error}


def _explained(
    rule: GateRule,
    old: Sequence[Kept],
    new: Sequence[Kept],
    scale: float,
    verdicts: Rule,
    confidence: float,
    tests: int,
) -> Explained:
    base = Explained(rule=rule.text, metric=rule.metric, category=rule.category)
    if why := _not_explained(rule):
        return msgspec.structs.replace(base, why=why)
    value = value_of(rule.metric, verdicts)

    def yes(row: Kept) -> bool | None:
        found = value(row)
        return None if found is None else bool(found)

    old, new = ([row for row in rows if rule.category in ("", row.category)] for rows in (old, new))
    noise = noise_of(old, new, yes)
    both = _ids(old) & _ids(new) if new else _ids(old)
    n = round(len(both) * scale)
    if noise is None or not n:
        return msgspec.structs.replace(base, why=f"the baseline has no sample with {rule.metric}")
    return _counted(base, rule, noise, n, fail_level(confidence) / tests, pass_level(confidence))


def _counted(base: Explained, rule: GateRule, noise: Noise, n: int, fails_at: float, passes_at: float) -> Explained:
    upwards = rule.kind is Kind.MAX or (rule.kind is Kind.NONINFERIOR and rule.about.better < 0)
    # turned so that worse is down: how far it may fall
    allowed = rule.limit if upwards or rule.kind is Kind.NONINFERIOR else -rule.limit
    fail_below = 0.0 if rule.kind is Kind.NONINFERIOR else -allowed

    def at(change: float) -> Chance:
        found = stats.gate_power(
            n,
            noise.discordance_at(change if upwards else -change),
            -change,
            fail_below=fail_below,
            pass_above=-allowed,
            fail_alpha=fails_at,
            pass_alpha=passes_at,
            design_effect=noise.design_effect,
            cluster_size=noise.cluster_size,
        )
        return Chance(change=change, fails=found.fails, passes=found.passes)

    room = 1 - noise.share if upwards else noise.share
    enough, why = _enough(noise, allowed, passes_at)
    return msgspec.structs.replace(
        base,
        n=n,
        discordance=noise.discordance,
        known_by=noise.known_by,
        design_effect=noise.design_effect,
        level=fails_at,
        unchanged=at(0.0),
        chances=tuple(at(step) for step in STEPS if step <= room),
        seen={f"{power:.0%}": _smallest(lambda change: at(change).fails, power, room) for power in POWERS},
        enough=enough,
        why=why,
    )


def _enough(noise: Noise, allowed: float, passes_at: float) -> tuple[int | None, str]:
    if allowed <= 0:
        return None, "without a change it is at the limit or beyond, so that no number of samples shows it to be within"
    try:
        found = stats.needed_n_non_inferiority(
            noise.discordance,
            allowed,
            power=POWER,
            alpha=passes_at,
            design_effect=noise.design_effect,
            cluster_size=noise.cluster_size,
        )
    except StatsUnavailable as error:
        return None, error.reason
    return found, ""


def _smallest(fails: Callable[[float], float], power: float, room: float) -> float | None:
    """The smallest change for the worse that fails with this chance; None where none within `room` does."""
    low, high = 0.0, room
    if high <= 0 or fails(high) < power:
        return None
    while high - low > _PRECISION:
        middle = (low + high) / 2
        low, high = (low, middle) if fails(middle) >= power else (middle, high)
    return high


def _not_explained(rule: GateRule) -> str:
    """Why nothing is said of a rule's power; "" where something is."""
    if rule.metric == "errors":
        return "no test: errors are counted, and more than the limit ends with exit code 3"
    if not rule.against:
        return "no power is given for a value of the new run alone"
    if rule.metric not in DECIDABLE:
        return f"no power is given for {rule.metric}: it has no yes or no per sample"
    if rule.relative:
        return "no power is given for a limit in percent of the baseline's value: write points"
    return ""


def _false_alarms(explained: Sequence[Explained], confidence: float) -> float:
    """The sum over all checks, which no gate exceeds; the stated level where one is not known."""
    level = fail_level(confidence)
    known = [0.0 if one.metric == "errors" else one.unchanged.fails if one.unchanged else level for one in explained]
    return min(level, sum(known))


def _notes(explained: Sequence[Explained], old: Sequence[Kept], new: Sequence[Kept]) -> list[str]:
    counted = [one for one in explained if one.unchanged is not None]
    notes = [f"{one.rule}: how often two runs disagree is {one.known_by}" for one in counted]
    if counted:
        notes.append("a change moves every sample's chance by the same amount")
    if any(one.design_effect > 1 for one in counted):
        effects = ", ".join(f"{one.rule} {one.design_effect:.2f}" for one in counted)
        notes.append(f"samples share a question, a problem or an image; samples per independent one: {effects}")
    if any(row.arm == AGENT and row.repeat for row in (*old, *new)):
        notes.append("as if each sample ran once in each run: means over repeats see more")
    return notes
