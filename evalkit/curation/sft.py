"""From recorded trajectories to data for a cold start: those whose tool use is real, needed and to the point.

After the curation of Metis (arXiv 2604.08545): hallucinated environments, needless calls and aimless ones go out.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.curation import necessity as need
from evalkit.curation import replay as played
from evalkit.curation import strategy as judged
from evalkit.curation import whole as first
from evalkit.curation.dataset import write_dataset
from evalkit.curation.folder import check_out
from evalkit.curation.grading import Conversation
from evalkit.curation.images import Progress, quiet
from evalkit.curation.judges import new_judge, reach
from evalkit.curation.kept import COLUMNS, RUNS, rows_of, write_runs
from evalkit.curation.pixels import LEVELS, LOSSY_LEVELS
from evalkit.curation.report import Fate, Report, Step, Table, step, write_report
from evalkit.curation.rubric import STRATEGIC, read_rubric
from evalkit.curation.source import Entry, Sifted, entries_of, open_sources
from evalkit.curation.texts import RELATIVE
from evalkit.errors import EvalkitError, NothingEvaluatedError
from evalkit.records import Rule
from evalkit.runs.judges import JudgeSettings
from evalkit.sandbox import Capabilities, LocalSandbox
from evalkit.scoring.judge.model import Asker

AT_ONCE = 16
"""Questions in flight, where no settings of a judge say otherwise."""
SKIPPABLE = (need.NAME, judged.NAME)
"""Filters that may be left out."""


class SftSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How trajectories are chosen.

    Attributes:
        direct: runs of the base model with direct tries; none for the direct arms of the runs themselves.
        direct_tries: right tries without a tool that show a sample to need none.
        judge: where the judge is; None only where its filter is left out, or one is given.
        rubric: file of what it is asked.
        pictures: it is shown the images.
        skip: of `SKIPPABLE`.
        rule: whose verdicts say what is right.
        allow_unisolated: code may run without isolation, where this machine has none.
    """

    direct: tuple[Path, ...] = ()
    direct_tries: int = need.TRIES
    judge: JudgeSettings | None = None
    rubric: Path = STRATEGIC
    pictures: bool = True
    skip: tuple[str, ...] = ()
    rule: Rule = Rule.STRICT
    allow_unisolated: bool = False


def curate_sft(
    runs: Sequence[Path],
    out: Path,
    settings: SftSettings,
    *,
    judge: Asker[Conversation] | None = None,
    progress: Progress = quiet,
) -> Report:
    """Choose trajectories, and write them to `out`: the data set, run folders, the report and every row's fate.

    Args:
        runs: run folders, or folders of them.
        out: new or empty.
        settings: see `SftSettings`.
        judge: in place of the one that the settings name, with the wording of the rubric; it is started and closed
            here.
        progress: see `Progress`.

    Returns:
        What became of the rows; also where none is left.

    Raises:
        EvalkitError: an option, a folder or the sandbox is of no use; the line says which and why.
    """
    return asyncio.run(_Curation(runs, out, settings, judge, progress).run())


class _Curation:
    """One curation from its options to its report."""

    def __init__(
        self,
        runs: Sequence[Path],
        out: Path,
        settings: SftSettings,
        judge: Asker[Conversation] | None,
        progress: Progress,
    ) -> None:
        if odd := [name for name in settings.skip if name not in SKIPPABLE]:
            raise EvalkitError(f"--skip {odd[0]}: only {' and '.join(SKIPPABLE)} can be left out")
        if judged.NAME not in settings.skip and judge is None and settings.judge is None:
            raise EvalkitError(
                f"trajectories are graded by a judge: name its server with --judge-url, or --skip {judged.NAME}"
            )
        check_out(out)
        self.out = out
        self.settings = settings
        self.progress = progress
        self.rubric = read_rubric(settings.rubric)
        self.judge = judge
        self.sources = open_sources(runs)
        self.entries = [entry for run in self.sources for entry in entries_of(run)]
        if not self.entries:
            raise NothingEvaluatedError("there is no trajectory of an agent in these runs")
        self.steps: list[Step] = []
        self.fates: list[Fate] = []
        self.notes: list[str] = []
        self.facts: dict[str, Any] = {}

    async def run(self) -> Report:
        """Filter after filter, the cheap ones first; a judge that cannot be reached is found out at the start."""
        settings = self.settings
        judge = None if judged.NAME in settings.skip else self.judge
        if judge is None and judged.NAME not in settings.skip and settings.judge is not None:
            judge = new_judge(settings.judge, self.rubric)
        kept = self.took(first.NAME, first.EXPLAINED, first.whole(self.entries, settings.rule))
        tries = self.tries(kept)
        try:
            if judge is not None:
                await reach(judge)
            kept = self.took(played.NAME, played.EXPLAINED, await self.replayed(kept))
            if tries is not None:
                sifted = need.necessity(kept, tries, settings.direct_tries)
                kept = self.took(need.NAME, need.explained(settings.direct_tries), sifted)
            if judge is not None:
                kept = self.took(judged.NAME, judged.explained(self.rubric), await self.graded(kept, judge))
        finally:
            if judge is not None:
                await judge.close()
        return self.write(kept)

    def took(self, name: str, explained: str, sifted: Sifted[Entry]) -> list[Entry]:
        """Count a filter."""
        self.steps.append(step(name, len(sifted.kept), sifted.out, explained))
        self.fates += sifted.out
        return sifted.kept

    def tries(self, entries: Sequence[Entry]) -> dict[tuple[str, str], need.Tries] | None:
        """The direct tries, checked before any code runs; None where they are not asked for."""
        settings = self.settings
        if need.NAME in settings.skip:
            return None
        runs = open_sources(settings.direct) if settings.direct else self.sources
        tries = need.direct_tries(runs, settings.rule)
        need.check_enough(entries, tries, settings.direct_tries)
        self.facts["direct"] = {run.name: f"{run.model}, configuration {run.info.config_hash}" for run in runs}
        if all(run.sampling.get("temperature") == 0 and not run.info.drawn_apart for run in runs):
            self.notes.append("the tries without tools were drawn at temperature 0: they are hardly more than one try")
        if not settings.direct:
            self.notes.append("the tries without tools are the runs' own direct arms: the agent's model, no other base")
        return tries

    async def replayed(self, entries: Sequence[Entry]) -> Sifted[Entry]:
        """Execute code again."""

        def started(can: Capabilities) -> None:
            self.facts["sandbox"] = {"kind": "local", "tier": can.tier.value, "isolated": can.isolated}
            if not can.isolated:
                self.notes.append("code ran without isolation (--unsafe-no-isolation)")

        return await played.replay(
            entries,
            lambda limits: LocalSandbox(limits, allow_unisolated=self.settings.allow_unisolated),
            started=started,
            done=self.progress("executing code again", len(entries)),
        )

    async def graded(self, entries: Sequence[Entry], judge: Asker[Conversation]) -> Sifted[Entry]:
        """Ask the judge."""
        settings = self.settings
        sifted = await judged.strategy(
            entries,
            judge,
            self.rubric,
            pictures=settings.pictures,
            at_once=settings.judge.concurrency if settings.judge else AT_ONCE,
            done=self.progress("asking the judge", len(entries)),
        )
        counts = {name: count for name, count in judge.facts().items() if isinstance(count, int)}
        self.facts["judge"] = {**judge.identity, "pictures": settings.pictures, "counts": counts}
        return sifted

    def write(self, kept: Sequence[Entry]) -> Report:
        """All files; the report last, so that a folder with one is whole."""
        settings = self.settings_used()
        data = write_dataset(rows_of(kept), self.out, COLUMNS)
        write_runs(kept, self.out, settings)
        self.fates += [entry.fate() for entry in kept]
        notes = [f"the filter {name} was left out (--skip)" for name in self.settings.skip]
        notes += dict.fromkeys(self.notes)
        if kept:
            notes.append(
                f"the trajectories are also run folders in {RUNS}/: evalkit train --method sft --data reads them"
            )
        report = Report(
            title="Trajectories for a cold start",
            sources=tuple(run.as_source(sum(entry.run is run for entry in self.entries)) for run in self.sources),
            steps=tuple(self.steps),
            settings={**settings, **self.facts},
            dataset=data,
            tables=tuple(_tables(self.entries, kept)),
            notes=tuple(notes),
        )
        write_report(report, self.out, self.fates)
        return report

    def settings_used(self) -> dict[str, Any]:
        """What decides which trajectories are kept. JSON values."""
        settings, skip = self.settings, self.settings.skip
        used: dict[str, Any] = {"rule": settings.rule.value, "skip": list(skip)}
        used["texts"] = {"relative": RELATIVE}
        used["images"] = {"levels": LEVELS, "lossy_levels": LOSSY_LEVELS}
        if need.NAME not in skip:
            used["direct_tries"] = settings.direct_tries
        if judged.NAME not in skip:
            rubric = self.rubric
            used["rubric"] = {"name": rubric.name, "version": rubric.version, "hash": rubric.digest}
        return used


def _tables(entries: Sequence[Entry], kept: Sequence[Entry]) -> Iterator[Table]:
    """Kept trajectories by kind of question, by number of calls, and by how well they were repeated."""
    yield _shares("Kinds of questions", "kind", entries, kept, lambda entry: entry.record.sample.category or "(none)")
    yield _shares("Tool calls", "calls", entries, kept, lambda entry: len(entry.record.trajectory.calls))
    if repeated := Counter(str(entry.found.get("replay")) for entry in kept):
        yield Table(
            title="How exactly the kept ones were repeated",
            head=("replay", "trajectories"),
            rows=tuple(repeated.most_common()),
            note=f"{played.EXACT}: every text and every byte of an image; {played.SAME}: within the tolerances.",
        )


def _shares(
    title: str, what: str, entries: Sequence[Entry], kept: Sequence[Entry], of: Callable[[Entry], str | int]
) -> Table:
    there: Mapping[str | int, int] = Counter(map(of, entries))
    left: Mapping[str | int, int] = Counter(map(of, kept))
    rows = tuple((value, there[value], left.get(value, 0)) for value in sorted(there, key=str))
    return Table(title=title, head=(what, "trajectories", "kept"), rows=rows)
