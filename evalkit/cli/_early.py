"""`--stop-when-decided`: refused before anything runs where it cannot be had, and what it says at the end."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from evalkit.errors import EvalkitError
from evalkit.gate.baseline import Samples
from evalkit.gate.early import check_samples, digest_of, new_stop, questions_of, read_rules
from evalkit.gate.opening import open_baseline
from evalkit.gate.rules import GateRule
from evalkit.records import AGENT, Rule, Sample
from evalkit.runs.arms import Arms
from evalkit.runs.decided import SPENDING, Decider, Question, in_blocks, looks_at
from evalkit.runs.folder import RunInfo, write_info
from evalkit.runs.looks import EarlyStop
from evalkit.runs.plan import task_config
from evalkit.runs.remote.address import shown
from evalkit.runs.store import Key, stream_latest
from evalkit.task import Task
from evalkit.version import __version__


class EarlyRules(NamedTuple):
    """What the user asked to be decided, with the baseline's values."""

    rules: tuple[GateRule, ...]
    held: Samples
    questions: tuple[Question, ...]
    digest: str
    verdicts: Rule


def early_problems(rules: Sequence[str], baseline: str | None, tasks: int, arms: Arms) -> Iterable[str]:
    """What is wrong with the options themselves, a line each."""
    if not rules:
        if baseline is not None:
            yield "--baseline does nothing without --stop-when-decided RULE; evalkit gate compares finished runs"
        return
    if baseline is None:
        yield "--stop-when-decided needs --baseline: the run, or the file of evalkit baseline save, to be held against"
    if tasks > 1:
        yield "--stop-when-decided takes one task: a baseline is of one"
    if arms.repeats > 1:
        yield "--stop-when-decided decides on one run of each sample: leave out --repeats"
    try:
        read_rules(rules)
    except EvalkitError as error:
        yield str(error)


def read_early(
    rules: Sequence[str], baseline: str, task: Task, samples: Sequence[Sample], model: str, verdicts: Rule
) -> EarlyRules:
    """The rules and the baseline, checked against the rows that are to run.

    Args:
        rules: as the user wrote them.
        baseline: as the user named it.
        task: of the run.
        samples: of the run.
        model: its name.
        verdicts: whose verdicts count.

    Raises:
        EvalkitError: the baseline cannot be read, or the run could not be held against it.
    """
    read, held = read_rules(rules), open_baseline(baseline)
    questions = questions_of(read, held, verdicts)
    assert isinstance(held, Samples)
    # the judge is opened later, and the gate looks at it: here it is no reason to refuse
    judge = {"judge": held.info.config["judge"]} if "judge" in held.info.config else {}
    config = {"task": task_config(task, samples), "model": {"name": model}, **judge}
    info = RunInfo(evalkit=__version__, created="", config=config, config_hash="", expected_rows=len(samples))
    check_samples(held, info, samples, verdicts)
    return EarlyRules(read, held, questions, digest_of(questions, verdicts), verdicts)


def begin_early(
    early: EarlyRules,
    folder: Path,
    info: RunInfo,
    samples: Sequence[Sample],
    done: Collection[Key],
    allowed_errors: float,
) -> Decider:
    """The looks of a new run, or those of an earlier start of it; `info` has them.

    Raises:
        EvalkitError: the run has rows already that did not run in a random order, or was looked at for other rules.
    """
    stop = info.early_stop
    if stop is None:
        if any((arm, repeat) == (AGENT, 0) for _, arm, repeat in done):
            raise EvalkitError(
                f"{shown(folder)} has rows that ran in the benchmark's own order, so it cannot stop early: "
                "leave out --stop-when-decided, or start again with --fresh"
            )
        seed = int(info.config_hash[:8], 16)
        rows = in_blocks(samples, seed)
        paired = {id for question in early.questions for id in question.baseline}
        stop = EarlyStop(
            **new_stop(early.rules, early.held, early.verdicts, early.digest),
            spending=SPENDING.value,
            seed=seed,
            planned=looks_at(rows, paired),
        )
        info.early_stop = stop
    else:
        texts = tuple(rule.text for rule in early.rules)
        if (stop.rules, stop.baseline_digest) != (texts, early.digest):
            raise EvalkitError(
                f"{shown(folder)} was started with --stop-when-decided {' '.join(stop.rules)} "
                f"--baseline {stop.baseline}: take the same, or leave both out, or start again with --fresh"
            )
        if stop.went_on:
            raise EvalkitError(f"{shown(folder)} has gone on since it was decided: leave out --stop-when-decided")
        rows = in_blocks(samples, stop.seed)
    decider = Decider(stop, early.questions, rows, allowed_errors, lambda: write_info(folder, info))
    for record in stream_latest(folder):
        # an error is tried again, so that nothing is finished there
        if not record.outcome.verdict.is_error or stop.decision:
            decider.add(record)
    return decider


def go_on(info: RunInfo) -> None:
    """A start without the rules: whatever was stopped before is to run to its end."""
    if (stop := info.early_stop) is not None and stop.decision:
        stop.stopped_after, stop.went_on = None, True
