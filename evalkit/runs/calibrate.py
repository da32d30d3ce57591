"""A judge put to labelled responses: how often it errs, and how often it is talked round."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from evalkit.calibration import RIGHT, Calibration, Injected, Measured
from evalkit.errors import DataError, EvalkitError, one_line
from evalkit.rulings import Ruling
from evalkit.runs.folder import write_whole
from evalkit.runs.judging import ask
from evalkit.runs.scheduler import Stop, in_flight
from evalkit.scoring.judge.base import Judge, identity_digest
from evalkit.scoring.judge.injections import PLAIN, Injection
from evalkit.scoring.judge.labels import Case, LabelledSet
from evalkit.scoring.judge.question import Asked, Question
from evalkit.version import __version__

HELD, FOOLED = "held", "fooled"


class _Job(NamedTuple):
    asked: Asked
    case: Case
    question: Question
    injection: Injection | None = None


async def calibrate(
    judge: Judge,
    labelled: LabelledSet,
    injections: Iterable[Injection],
    at_once: int,
    stop: Stop,
    done: Callable[[int, int], None] = lambda through, all: None,
) -> Calibration | None:
    """Ask a judge about every labelled response and every attempt to talk it round, at both of its tasks.

    Args:
        judge: started already.
        labelled: responses with a person's verdict.
        injections: see `read_injections`.
        at_once: questions at the same time.
        stop: ends it early.
        done: told how many questions are through, and of how many.

    Returns:
        What came of it; None where it was stopped.

    Raises:
        InfrastructureError: the judge's cache is broken.
    """
    jobs = list(_jobs(labelled.cases, injections))
    rulings: dict[int, Ruling] = {}

    async def work(place: int) -> None:
        rulings[place] = await ask(judge, jobs[place].question)
        done(len(rulings), len(jobs))

    await in_flight(range(len(jobs)), work, at_once, stop)
    if len(rulings) < len(jobs):
        return None
    # scored when nothing waits any more: a formula may take a second
    said = [(job, job.case.judged(rulings[place])) for place, job in enumerate(jobs)]
    identity = dict(judge.identity)
    return Calibration(
        identity=identity,
        digest=identity_digest(identity),
        labels=labelled.about,
        measured=_measured([(job, word) for job, word in said if job.injection is None]),
        injected=_injected([(job.injection, word) for job, word in said if job.injection is not None]),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        evalkit=__version__,
    )


def _jobs(cases: Sequence[Case], injections: Iterable[Injection]) -> Iterable[_Job]:
    for asked in Asked:
        for case in cases:
            if (question := case.asked(asked)) is not None:
                yield _Job(asked, case, question)
    for injection in injections:
        if (question := injection.case.asked(injection.asked)) is not None:
            yield _Job(injection.asked, injection.case, question, injection)


def _measured(said: Sequence[tuple[_Job, str]]) -> dict[str, Measured]:
    found: dict[str, dict[str, Counter[str]]] = {}
    for job, word in said:
        found.setdefault(job.asked.value, {}).setdefault(job.case.verdict, Counter())[word] += 1
    return {asked: Measured(asked=asked, counts=_plain(rows)) for asked, rows in found.items()}


def _injected(said: Sequence[tuple[Injection, str]]) -> dict[str, Injected]:
    without = {injection.plain: word for injection, word in said if injection.attempt == PLAIN}
    found: dict[str, dict[str, Counter[str]]] = {}
    for injection, word in said:
        if injection.attempt != PLAIN:
            rows = found.setdefault(injection.asked.value, {})
            rows.setdefault(injection.attempt, Counter())[_outcome(word, without[injection.plain])] += 1
    return {asked: Injected(asked=asked, outcomes=_plain(rows)) for asked, rows in found.items()}


def _outcome(word: str, without: str) -> str:
    """What became of an attempt, from the judge's word with it and without it."""
    if word in ("unparsable", "unavailable"):
        return word
    return FOOLED if word == RIGHT != without else HELD


def _plain(rows: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
    return {name: dict(sorted(counts.items())) for name, counts in rows.items()}


def write_calibration(file: Path, calibration: Calibration) -> None:
    """Write the file, whole or not at all.

    Raises:
        InfrastructureError: it cannot be written.
    """
    write_whole(file, msgspec.json.format(msgspec.json.encode(calibration), indent=2) + b"\n")


def read_calibration(file: Path) -> Calibration:
    """A file of `evalkit judge calibrate`.

    Raises:
        DataError: it cannot be read, or is no such file.
    """
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Calibration)
    except (OSError, msgspec.MsgspecError) as error:
        why = one_line(getattr(error, "strerror", None) or error)
        raise DataError(f"cannot read the calibration {file}: {why}; evalkit judge calibrate makes one") from None
    if any(count < 0 for one in found.measured.values() for row in one.counts.values() for count in row.values()):
        raise DataError(f"cannot read the calibration {file}: a count is negative; evalkit judge calibrate makes one")
    if found.digest != identity_digest(found.identity):
        raise DataError(f"the calibration {file} does not fit its own identity of the judge; make it again")
    return found


def check_judge(calibration: Calibration, identity: Mapping[str, Any] | None) -> None:
    """Refuse a calibration that is not of the judge that a run has.

    Raises:
        EvalkitError: it is of another, or the run has none.
    """
    if identity is None:
        raise EvalkitError("--judge-calibration: the run has no judge; name one with --judge-url, or leave it out")
    if identity_digest(identity) == calibration.digest:
        return
    names = [one_line(who.get("model"), 60) for who in (calibration.identity, identity)]
    differ = [name for name in ("model", "prompts", "settings") if calibration.identity.get(name) != identity.get(name)]
    raise EvalkitError(
        f"--judge-calibration is of another judge ({names[0]}) than the run's ({names[1]}): "
        f"{' and '.join(differ) or 'something'} differ; run evalkit judge calibrate with this one"
    )
