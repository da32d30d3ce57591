"""From the rollouts of a policy to prompts that it can still learn from: the filters of RL data, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec

from evalkit.curation import ambiguity, duplicates, mix, overlap
from evalkit.curation import usable as good
from evalkit.curation.benchmarks import Against, open_benchmarks, read_benchmarks
from evalkit.curation.dataset import Row, write_dataset
from evalkit.curation.folder import check_out
from evalkit.curation.grading import Conversation
from evalkit.curation.images import Progress, Viewer, quiet
from evalkit.curation.judges import new_judge, reach
from evalkit.curation.leakage import RADIUS, TELLING, Detector
from evalkit.curation.mix import MixSettings
from evalkit.curation.prompts import Prompt, prompts_of
from evalkit.curation.report import Fate, Report, Step, Table, step, write_report
from evalkit.curation.rubric import read_rubric
from evalkit.curation.source import Sifted, messages_of, open_sources
from evalkit.curation.wording import SHARE
from evalkit.runs.judges import JudgeSettings
from evalkit.scoring.judge.model import Asker

COLUMNS: Mapping[str, type] = {
    "question": str,
    "answer": str,
    "choices": str,
    "task": str,
    "category": str,
    "cluster": str,
    "right": int,
    "scored": int,
    "calls": float,
}
"""Columns beside `id`, `prompt` and `images`: `choices` is a JSON object, `right` of `scored` rollouts are right, and
`calls` is the mean number of tool calls that ran in a rollout."""


class RlSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `curate_rl` does.

    Attributes:
        mix: what counts as a mix of right and wrong.
        against: benchmarks that the data must not overlap with.
        task_dirs: folders of further tasks.
        judge: of ambiguous prompts; None does not look for them.
        judge_sees: the judge is shown the images.
        rubric: what the judge is asked.
    """

    mix: MixSettings = MixSettings()
    against: tuple[Against, ...] = ()
    task_dirs: tuple[Path, ...] = ()
    judge: JudgeSettings | None = None
    judge_sees: bool = True
    rubric: Path = ambiguity.CLEAR


def curate_rl(
    runs: Sequence[Path],
    out: Path,
    settings: RlSettings,
    *,
    judge: Asker[Conversation] | None = None,
    progress: Progress = quiet,
) -> Report:
    """Choose prompts, and write them to `out`: the data set, the report and every prompt's fate.

    Args:
        runs: run folders of one policy, or folders of them; repeats of the agent's arm are a prompt's rollouts.
        out: new or empty.
        settings: see `RlSettings`.
        judge: in place of the one that the settings name, with the wording of the rubric; it is started and closed
            here.
        progress: see `Progress`.

    Returns:
        What became of the prompts; also where none is left.

    Raises:
        EvalkitError: the runs cannot be used (no repeats, several policies, all images gone), a benchmark cannot be
            loaded, or the judge cannot be reached.
        InfrastructureError: `out` cannot be written.
    """
    return asyncio.run(_Curation(runs, out, settings, judge, progress).run())


class _Curation:
    """One curation from its options to its report."""

    def __init__(
        self,
        runs: Sequence[Path],
        out: Path,
        settings: RlSettings,
        judge: Asker[Conversation] | None,
        progress: Progress,
    ) -> None:
        mix.check(settings.mix)
        check_out(out)
        self.out = out
        self.settings = settings
        self.progress = progress
        self.rubric = read_rubric(settings.rubric)
        self.judge = judge
        self.tasks = open_benchmarks(settings.against, settings.task_dirs)
        self.sources = open_sources(runs)
        self.prompts = prompts_of(self.sources)
        mix.group_size(self.prompts, settings.mix)
        self.viewer = Viewer()
        self.steps: list[Step] = []
        self.fates: list[Fate] = []
        self.tables: list[Table] = []
        self.facts: dict[str, Any] = {}

    async def run(self) -> Report:
        """Filter after filter, the judge last; one that cannot be reached is found out at the start."""
        judge = self.judge
        if judge is None and self.settings.judge is not None:
            judge = new_judge(self.settings.judge, self.rubric)
        try:
            if judge is not None:
                await reach(judge)
            kept = await self.filtered(judge)
        finally:
            if judge is not None:
                await judge.close()
        return self.write(kept)

    async def filtered(self, judge: Asker[Conversation] | None) -> list[Prompt]:
        """The prompts that every filter keeps."""
        benchmarks = read_benchmarks(self.tasks, self.viewer, self.progress) if self.tasks else None
        looks = good.look_at_all(self.prompts, self.viewer, self.progress)
        kept = self.took(good.NAME, good.EXPLAINED, good.usable(self.prompts, looks))
        if benchmarks:
            sifted, found = overlap.clean(kept, looks, Detector(benchmarks))
            kept = self.took(overlap.NAME, overlap.EXPLAINED, sifted)
            self.tables += found.tables()
        ranked = kept
        kept = self.took(mix.NAME, mix.EXPLAINED, mix.mixed(ranked, self.settings.mix))
        kept = self.took(duplicates.NAME, duplicates.EXPLAINED, duplicates.distinct(kept, looks))
        if judge is not None:
            kept = self.took(ambiguity.NAME, ambiguity.explained(self.rubric), await self.judged(kept, judge))
        self.tables[:0] = mix.histogram(ranked, self.settings.mix, kept)
        return kept

    def took(self, name: str, explained: str, sifted: Sifted[Prompt]) -> list[Prompt]:
        """Count a filter."""
        self.steps.append(step(name, len(sifted.kept), sifted.out, explained))
        self.fates += sifted.out
        return sifted.kept

    async def judged(self, prompts: Sequence[Prompt], judge: Asker[Conversation]) -> Sifted[Prompt]:
        """Ask the judge."""
        settings, rubric, pictures = self.settings.judge, self.rubric, self.settings.judge_sees
        done = self.progress("asking the judge", len(prompts))
        at_once = settings.concurrency if settings else 16
        sifted = await ambiguity.clear(prompts, judge, rubric, pictures=pictures, at_once=at_once, done=done)
        counts = {name: count for name, count in judge.facts().items() if isinstance(count, int)}
        self.facts["judge"] = {**judge.identity, "pictures": pictures, "counts": counts}
        self.facts["rubric"] = {"name": rubric.name, "version": rubric.version, "hash": rubric.digest}
        return sifted

    def write(self, kept: Sequence[Prompt]) -> Report:
        """All files; the report last, so that a folder with one is whole."""
        data = write_dataset((row_of(prompt) for prompt in kept), self.out, COLUMNS, "prompt")
        rollouts = [entry for prompt in self.prompts for entry in prompt.rollouts]
        report = Report(
            title="Prompts for RL",
            sources=tuple(run.as_source(sum(entry.run is run for entry in rollouts)) for run in self.sources),
            steps=tuple(self.steps),
            settings={**self.settings_used(), **self.facts},
            dataset=data,
            tables=tuple(self.tables),
            notes=tuple(self.notes()),
        )
        write_report(report, self.out, [*self.fates, *(prompt.fate() for prompt in kept)])
        return report

    def settings_used(self) -> dict[str, Any]:
        """What decides which prompts are kept. JSON values."""
        group = mix.group_size(self.prompts, self.settings.mix)
        used: dict[str, Any] = {
            "mix": {**msgspec.to_builtins(self.settings.mix), "group": group},
            "near_duplicates": {"bits": duplicates.RADIUS},
        }
        if self.tasks:
            used["against"] = [msgspec.to_builtins(one) for one in self.settings.against]
            used["leakage"] = {"bits": RADIUS, "telling_words": TELLING, "share_of_words": SHARE}
        return used

    def notes(self) -> Iterator[str]:
        """What a reader must know."""
        settings, prompts = self.settings, self.prompts
        if bare := sum(not prompt.sample.images for prompt in prompts):
            yield f"{bare:,} of {len(prompts):,} prompts have no image in their run"
        if not self.tasks:
            yield "the data was compared with no benchmark: --against names those that it must not overlap with"
        if self.judge is None and settings.judge is None:
            yield "nobody looked for ambiguous prompts: --judge-url names a judge"
        elif not settings.judge_sees:
            yield "the judge of ambiguous prompts saw no pictures"
        if all(run.sampling.get("temperature") == 0 for run in self.sources):
            yield "the rollouts were drawn at temperature 0: they hardly differ, so that few prompts are a mix"


def row_of(prompt: Prompt) -> Row:
    """The prompt as a row of the data set: the conversation up to the model's first word."""
    sample, entries = prompt.sample, prompt.rollouts
    calls = [
        sum(call.status.dispatched for call in entry.record.trajectory.calls)
        for entry in entries
        if not entry.record.outcome.verdict.is_error and not entry.record.trajectory.partial
    ]
    asked = takewhile(lambda message: message.role != "assistant", messages_of(entries[0]))
    return Row(
        id=prompt.id,
        messages=tuple(asked),
        columns={
            "question": sample.question,
            "answer": sample.answer,
            "choices": msgspec.json.encode(sample.choices).decode(),
            "task": prompt.run.task,
            "category": sample.category,
            "cluster": sample.cluster,
            "right": prompt.found["right"],
            "scored": prompt.found["scored"],
            "calls": sum(calls) / len(calls) if calls else None,
        },
    )
