"""Samples that need no tool: the base model answers them right every time without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from evalkit.curation.source import Entry, Sifted, SourceRun
from evalkit.errors import DataError, EvalkitError, one_line
from evalkit.records import AGENT, DIRECT, Rule, Sample

NAME = "necessity"
TRIES = 8
"""Direct tries of a sample that must all be right before its tool calls count as unneeded."""
_Key = tuple[str, str]


def explained(tries: int) -> str:
    """The filter in a sentence or two."""
    return (
        f"A sample that the base model answers right without tools in {tries} of {tries} tries needs none: a "
        "trajectory that calls one there teaches a needless call. One wrong try is enough to keep it. Where all tries "
        "are right and there are fewer of them, it cannot be told: an error."
    )


class Tries(NamedTuple):
    """Direct tries of one sample; those in which the harness failed are none.

    Attributes:
        sample: as it was asked.
        right: how many were right.
        total: of them all.
    """

    sample: Sample
    right: int
    total: int


def direct_tries(runs: Sequence[SourceRun], rule: Rule = Rule.STRICT) -> dict[_Key, Tries]:
    """Direct tries by task and sample: the direct arms of runs, and all of a run that offers no tools.

    Where an arm's further draws have a temperature of their own, its first answer, which has the agent's, is no try.

    Args:
        runs: of the base model.
        rule: whose verdict says that an answer is right.

    Raises:
        DataError: two runs ask different things under the same id.
        EvalkitError: the tries are of several models: together they say of none what it can do.
    """
    found: dict[_Key, Tries] = {}
    base: SourceRun | None = None
    for run in runs:
        arms = (DIRECT,) if run.tools else (DIRECT, AGENT)
        for record in run.records:
            if record.outcome.verdict.is_error or record.arm not in arms:
                continue
            if record.arm == DIRECT and not record.repeat and run.info.drawn_apart:
                continue
            base = base or run
            if run.info.config["model"] != base.info.config["model"]:
                raise EvalkitError(
                    f"the tries without tools in {base.name} and {run.name} are of two models; "
                    "name the runs of one, the base model, with --direct"
                )
            key = run.task, record.sample.id
            so_far = found.get(key, Tries(record.sample, 0, 0))
            _check_same(so_far.sample, record.sample, run)
            found[key] = Tries(so_far.sample, so_far.right + record.outcome.right(rule), so_far.total + 1)
    return found


def check_enough(entries: Sequence[Entry], tries: Mapping[_Key, Tries], least: int) -> None:
    """Check that at least one trajectory's sample can be told to need no tool.

    Raises:
        EvalkitError: there are no direct tries of these samples, or too few of each.
    """
    counts = [found.total for entry in entries if (found := tries.get((entry.run.task, entry.record.sample.id)))]
    if max(counts, default=0) >= least or not entries:
        return
    have = f"at most {max(counts)} direct tries a sample" if counts else "no direct tries of these samples"
    raise EvalkitError(
        f"there are {have}, {least} are needed: run the base model with --counterfactual --direct-k "
        f"{least} --direct-temperature 1 and name its run with --direct, or leave the filter out with --skip necessity"
    )


def necessity(entries: Sequence[Entry], tries: Mapping[_Key, Tries], least: int = TRIES) -> Sifted[Entry]:
    """Drop trajectories on samples that the base model always answers right without tools.

    Reason: `solved_without_tools`. Errors: `too_few_tries`, `no_tries`. The entries get `direct_right` and
    `direct_tries`.

    Args:
        entries: trajectories.
        tries: see `direct_tries`.
        least: tries that must all be right.

    Raises:
        DataError: the tries are of another question under the same id.
    """
    sifted = Sifted[Entry]([], [])
    for entry in entries:
        found = tries.get((entry.run.task, entry.record.sample.id))
        if found is None:
            sifted.out.append(entry.fate(NAME, "no_tries", "there is no direct try of this sample", error=True))
            continue
        _check_same(found.sample, entry.record.sample, entry.run)
        entry.found["direct_right"], entry.found["direct_tries"] = found.right, found.total
        if found.right < found.total:
            sifted.kept.append(entry)
        elif found.total < least:
            why = f"all of {found.total} direct tries are right, {least} are needed to tell"
            sifted.out.append(entry.fate(NAME, "too_few_tries", why, error=True))
        else:
            sifted.out.append(entry.fate(NAME, "solved_without_tools", f"{found.right} of {found.total} tries"))
    return sifted


def _check_same(a: Sample, b: Sample, run: SourceRun) -> None:
    same = a.question == b.question and a.answer == b.answer
    if not same or [image.known for image in a.images] != [image.known for image in b.images]:
        raise DataError(
            f"{run.folder}: sample {one_line(a.id, 80)} of {run.task} asks something else than the same id of another "
            "run; name runs of the same rows"
        )
