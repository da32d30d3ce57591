"""Runs against a reference, sample by sample."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from evalkit.analysis.comparison import SCHEMA, Comparison, RunRef, Versus
from evalkit.analysis.config_diff import Made, config_differences, unknown_to
from evalkit.analysis.detectable import detectable
from evalkit.analysis.flips import flip
from evalkit.analysis.machines import machines_apart, times_apart
from evalkit.analysis.paired_figures import (
    ACCURACY,
    ALONE,
    CALLS,
    COMPLETION,
    LATENCY,
    PROMPT,
    TOOL_RATE,
    Figure,
    figure,
    judged,
    unavailable,
    untested,
)
from evalkit.analysis.pairing import ALLOWED, Overlap, Pair, pair
from evalkit.analysis.side import Side, read_side
from evalkit.errors import EvalkitError, unknown
from evalkit.recorded import PREFIX
from evalkit.records import Rule
from evalkit.runs.remote.address import shown

_LOADED = (
    "as run, under load, and so not tested: whatever else a machine did during one of the runs shows as a difference; "
    "--isolated-latency gives times to compare"
)


def compare(folders: Sequence[Path], rule: Rule = Rule.STRICT, allowed: Collection[str] = ()) -> Comparison:
    """Compare runs of one task with the first of them.

    Args:
        folders: run folders, the reference first; two at least.
        rule: whose verdicts count.
        allowed: those of `evalkit.analysis.pairing.ALLOWED` in which they may differ.

    Raises:
        DataError: a folder is not a readable run.
        EvalkitError: fewer than two runs, one of them twice, or runs that cannot be paired; a line for each reason.
    """
    for key in allowed:
        if key not in ALLOWED:
            raise unknown("difference to allow", key, ALLOWED, "evalkit compare --help")
    if len(folders) < 2:
        raise EvalkitError("evalkit compare takes two runs at least: the reference first, then those to compare")
    places = [folder.resolve() for folder in folders]
    for i, place in enumerate(places):
        if place in places[:i]:
            raise EvalkitError(f"{shown(folders[i])} is named twice: it cannot be compared with itself")
    sides = [read_side(folder, label(i), rule) for i, folder in enumerate(folders)]
    reference = sides[0]
    paired, problems = [], []
    for side in sides[1:]:
        try:
            paired.append((side, *pair(reference, side, allowed)))
        except EvalkitError as error:
            problems.append(str(error))
    if problems:
        raise EvalkitError("\n".join(problems))
    raw = [(side.label, figure) for side, pairs, _ in paired for figure in _figures(reference, side, pairs)]
    done = judged([figure for _, figure in raw], [label for label, _ in raw])
    return Comparison(
        schema=SCHEMA,
        task=str(reference.task["name"]),
        rule=rule,
        runs=tuple(_ref(side) for side in sides),
        config=tuple(config_differences([Made(side.info, side.scorers) for side in sides])),
        against=tuple(
            _versus(
                reference,
                side,
                pairs,
                overlap,
                [found for (label, _), found in zip(raw, done, strict=True) if label == side.label],
            )
            for side, pairs, overlap in paired
        ),
        tests={
            family: sum(figure.p is not None and figure.family == family for figure in done)
            for family in sorted({figure.family for figure in done})
        },
    )


def label(index: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    letters = ""
    index += 1
    while index:
        index, place = divmod(index - 1, 26)
        letters = chr(ord("A") + place) + letters
    return letters


def _ref(side: Side) -> RunRef:
    return RunRef(
        label=side.label,
        model=side.model,
        folder=str(shown(side.folder)),
        samples=len(side.units),
        expected=side.info.expected_rows,
        errors=side.errors,
        repeats=side.repeats,
        imported=unknown_to(side.info),
        notes=tuple(side.info.notes),
    )


def _figures(old: Side, new: Side, pairs: Sequence[Pair]) -> list[Figure]:
    labels = (old.label, new.label)
    found = [figure(quantity, pairs, labels) for quantity in (ACCURACY, TOOL_RATE, CALLS, PROMPT, COMPLETION)]
    loaded = figure(LATENCY, pairs, labels, note=_LOADED)
    why = times_apart(old, new) if loaded.n else ""
    found.append(unavailable(LATENCY, why) if why else untested(loaded))
    if old.alone and new.alone:
        apart = machines_apart(old, new)
        note = f"{apart}: the difference is that of models and machines together" if apart else ""
        found.append(figure(ALONE, _alone(old, new), labels, note=note))
    categories = list(dict.fromkeys(pair.old.category for pair in pairs if pair.old.category))
    if len(categories) > 1:
        for quantity in (ACCURACY, TOOL_RATE):
            for category in sorted(categories):
                mine = [pair for pair in pairs if pair.old.category == category]
                found.append(figure(quantity, mine, labels, category))
    return found


def _alone(old: Side, new: Side) -> list[Pair]:
    """The samples that both runs ran one at a time, with those times."""
    return [
        Pair(*(msgspec.structs.replace(side.units[id], seconds=side.alone[id]) for side in (old, new)))
        for id in old.alone
        if id in new.alone and id in old.units and id in new.units
    ]


def _versus(old: Side, new: Side, pairs: Sequence[Pair], overlap: Overlap, figures: Sequence[Figure]) -> Versus:
    notes = []
    if old.scorers != new.scorers:
        mine, theirs = (", ".join(side.scorers) or "no scorer" for side in (old, new))
        recorded = old.info.config["task"]["name"].startswith(PREFIX)
        mend = "their figures are not of one kind" if recorded else "evalkit score RUN brings both to today's"
        notes.append(f"scored by different rules ({mine}; {theirs}): {mend}")
    if overlap.other_prompts:
        notes.append(f"the first prompt has another text on {overlap.other_prompts} of {overlap.both} samples")
    if overlap.other_images:
        notes.append(f"the images have other bytes on {overlap.other_images} of {overlap.both} samples")
    return Versus(
        label=new.label,
        overlap=overlap,
        figures=tuple(figures),
        detectable=detectable(figures[0]),
        flips=tuple(found for pair in pairs if (found := flip(pair))),
        notes=tuple(notes),
    )
