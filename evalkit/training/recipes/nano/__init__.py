"""The nano recipe: a whole reproduction of the paper's question on a model that trains in minutes on a CPU."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from evalkit.errors import EvalkitError, unknown
from evalkit.training.recipes.nano.grid import SEEDS, Trial, phase, table

PARTS = ("table", "phase", "release")


def run_recipe(
    out: Path,
    *,
    parts: Sequence[str] = PARTS,
    seeds: int = SEEDS,
    steps: int = 120,
    jobs: int = 1,
    only: str = "",
    say: Callable[[str], None] = print,
) -> Path:
    """Run the study's trainings that are not in `out` yet, and write its report.

    Args:
        out: folder of the study.
        parts: of `PARTS`: the table (every reward in every setting), the phase diagram, the siblings of all levels.
        seeds: trainings a cell of the table; the phase diagram has `grid.PHASE_SEEDS` a cell.
        steps: of each training.
        jobs: trainings at a time, each in a process of one thread.
        only: trials whose name contains this, and no others.
        say: told of what is going on.

    Returns:
        The report, `out/report.md`; tables in it, curves and diagram beside it.

    Raises:
        EvalkitError: a trial cannot be run, or a result that is there cannot be used.
    """
    from evalkit.training.recipes.nano.trials import prepare

    for part in parts:
        if part not in PARTS:
            raise unknown("part", part, PARTS, "docs/hdpo.md")
    if min(seeds, steps, jobs) < 1:
        raise EvalkitError(f"seeds={seeds}, steps={steps}, jobs={jobs}: each is at least 1")
    trials = [*(table(seeds) if "table" in parts else ()), *(phase() if "phase" in parts else ())]
    trials = [trial for trial in trials if only in trial.name]
    out.mkdir(parents=True, exist_ok=True)
    prepare({trial.setting.start for trial in trials}, out, say)
    todo = [trial for trial in trials if not (out / "trials" / f"{trial.name}.json").is_file()]
    say(f"{len(trials)} trainings, {len(trials) - len(todo)} of them done already")
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_one_thread) as pool:
        for number, (trial, seconds) in enumerate(pool.map(_run, todo, [out] * len(todo), [steps] * len(todo)), 1):
            say(f"{number} of {len(todo)}: {trial.name}, {seconds:.0f} s")
    if "release" in parts and not (out / "models" / "levels.json").is_file():
        from evalkit.training.recipes.nano.release import build

        build(out, say)
    return write_report(out)


def write_report(out: Path) -> Path:
    """The report of all results in `out`."""
    from evalkit.training.recipes.nano import summary
    from evalkit.training.recipes.nano.release import levels_table, read_levels
    from evalkit.training.recipes.nano.trials import read_result

    results = [read_result(file) for file in sorted((out / "trials").glob("*.json"))]
    phases = [result for result in results if "tiny_share" in result.trial.setting.options]
    rest = [result for result in results if "tiny_share" not in result.trial.setting.options]
    texts = ["# metis-nano: when does decoupling matter?", ""]
    if rest:
        summary.draw_curves(rest, out / "curves.svg")
        texts += [summary.table(rest), "![trainings](curves.svg)", ""]
    if phases:
        summary.draw_phase(phases, out / "phase.svg")
        texts += ["## Weight against need", "", summary.phase_table(phases), "", "![phase diagram](phase.svg)", ""]
    if (found := out / "models" / "levels.json").is_file():
        texts += ["## All levels at once", "", levels_table(read_levels(found)), ""]
    report = out / "report.md"
    report.write_text("\n".join(texts), "utf-8")
    return report


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _run(trial: Trial, out: Path, steps: int) -> tuple[Trial, float]:
    from evalkit.training.recipes.nano.trials import run_trial

    return trial, run_trial(trial, out, steps, lambda text: None).seconds
