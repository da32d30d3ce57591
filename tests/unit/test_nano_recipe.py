"""The nano recipe's own pieces: what its teacher says, its tokens, its grid, its tables."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from evalkit.content import find_tasks, open_task, task_named
from evalkit.models import find_card
from evalkit.records import Sample
from evalkit.training.config import Method
from evalkit.training.figures import Part
from evalkit.training.recipes.nano import grid, summary, write_report
from evalkit.training.recipes.nano.measure import HeldOut
from evalkit.training.recipes.nano.release import Choice, best
from evalkit.training.recipes.nano.starts import widened_tokenizer
from evalkit.training.recipes.nano.teacher import Habit, answers, script, turns
from evalkit.training.recipes.nano.trials import Point, Result
from evalkit.training.recipes.nano.words import crop_call, new_tokens, product_call

ALWAYS, NEVER = Habit(needed=1.0, unneeded=1.0), Habit(needed=0.0, unneeded=0.0)


def samples(level: int, boards: int = 30) -> list[Sample]:
    options = {"level": str(level), "boards": str(boards)}
    return list(open_task(task_named("panel_probe", find_tasks()), options=options).samples())


@pytest.mark.parametrize("level", [1, 2, 3])
def test_the_teacher_ends_with_the_right_answer(level: int) -> None:
    for sample in samples(level):
        for habit in (ALWAYS, NEVER):
            *calls, last = turns(sample, habit, seed=0)
            assert last.endswith(f"</think><answer>{sample.answer}</answer>")
            assert bool(calls) == (habit is ALWAYS)


def test_a_habit_of_repeating_makes_one_to_four_calls() -> None:
    counts = {len(turns(sample, Habit(needed=1, unneeded=1, repeats=3), seed=0)) - 1 for sample in samples(1)}
    assert counts == {1, 2, 3, 4}


def test_a_habit_is_kept_on_average() -> None:
    rows = samples(1, boards=250)
    said = script(rows, Habit(needed=0.9, unneeded=0.2), seed=3)["samples"]
    for needs, share in ((True, 0.9), (False, 0.2)):
        these = [row for row in rows if row.metadata["needs_tool"] is needs]
        assert sum(len(said[row.id]) > 1 for row in these) / len(these) == pytest.approx(share, abs=0.06)
    assert all(len(texts) == 1 for texts in answers(rows)["samples"].values())


def test_the_new_tokens_make_turns_short() -> None:
    tokenizer, before = widened_tokenizer(Path(find_card("metis-nano-sft").weights.location))
    assert len(tokenizer) - before == len(new_tokens())
    for text, most in (
        (product_call(123, 456), 14),
        (crop_call("centre"), 5),
        ("<think>6</think><answer>D</answer>", 4),
        ("What is 3 * 4 mod 7?\nA. 5\nB. 1\nC. 3\nD. 0", 11),
    ):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert len(ids) <= most
        assert tokenizer.decode(ids) == text


def test_trials_have_names_of_their_own() -> None:
    trials = [*grid.table(), *grid.phase()]
    assert len({trial.name for trial in trials}) == len(trials)
    assert len(list(grid.table())) == grid.SEEDS * (len(grid.SETTINGS) * len(grid.VARIANTS) + 5)


def test_a_trial_trains_for_what_it_is_named_after() -> None:
    settings = {
        variant.name: grid.Trial(setting=grid.CROP, variant=variant, seed=1).settings(7) for variant in grid.VARIANTS
    }
    assert settings["hdpo-0.15"].tool_weight == 0.15
    assert settings["grpo"].tool_weight == settings["coupled-0.5"].tool_weight == 0
    assert (settings["coupled-0.5"].method, settings["coupled-0.5"].penalty) == (Method.COUPLED, 0.5)
    assert {s.steps for s in settings.values()} == {7}


def held(accuracy: float, rate: float) -> HeldOut:
    return HeldOut(items=10, accuracy=accuracy, tool_rate=rate, calls=rate, direct_accuracy=0.5, redundant=rate / 2)


def result(trial: grid.Trial, rate: float) -> Result:
    start, end = held(0.9, 1.0), held(0.8, rate)
    parts = {"legible": Part(rollouts=4, accuracy=0.5, tool_rate=rate, calls=rate)}
    return Result(
        trial=trial,
        steps=1,
        before={"all": start, "legible": start, "needs tool": start},
        after={"all": end, "legible": end, "needs tool": held(0.7, 1.0)},
        curve=[Point(step=1, parts=parts), Point(step=2, parts=parts)],
        seconds=1.0,
    )


def test_the_table_has_means_over_seeds() -> None:
    trials = [grid.Trial(setting=grid.CROP, variant=grid.HDPO, seed=seed) for seed in range(3)]
    text = summary.table([result(trial, rate) for trial, rate in zip(trials, (0.0, 0.1, 0.2), strict=True)])
    row = next(line for line in text.splitlines() if line.startswith("| hdpo-0.15"))
    # mean 10 points, sd 10 points, t(0.975, 2) = 4.303
    assert "| 10.0% +- 24.8 |" in row
    assert row.endswith("| 0.10 | 3 |")
    assert "| start | 90.0% |" in text


def test_a_report_has_all_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "trials").mkdir()
    chosen = [grid.Trial(setting=grid.FAINT, variant=grid.GRPO, seed=0), next(iter(grid.phase()))]
    for trial in chosen:
        (tmp_path / "trials" / f"{trial.name}.json").write_bytes(msgspec.json.encode(result(trial, 0.25)))
    text = write_report(tmp_path).read_text("utf-8")
    assert "### faint" in text
    assert "| hdpo-0.05 | 1 follows (80%) |" in text
    assert (tmp_path / "curves.svg").stat().st_size > 1000
    assert (tmp_path / "phase.svg").stat().st_size > 1000


def test_the_kept_checkpoint_wastes_least_among_those_that_lost_little() -> None:
    start = Choice(step=0, accuracy=0.95, redundant=0.6)
    thrifty, dear, worse = (
        Choice(step=20, accuracy=0.945, redundant=0.1),
        Choice(step=40, accuracy=0.96, redundant=0.3),
        Choice(step=60, accuracy=0.93, redundant=0.0),
    )
    assert best(start, [dear, thrifty, worse]) is thrifty
    assert best(start, [worse, msgspec.structs.replace(worse, accuracy=0.9)]) is worse


@pytest.mark.parametrize(
    ("needed", "unneeded", "state"),
    [(1.0, 0.0, "follows"), (0.98, 1.0, "keeps"), (0.0, 0.0, "lost"), (0.51, 0.5, "follows")],
)
def test_a_training_ends_in_one_of_three_states(needed: float, unneeded: float, state: str) -> None:
    after = {"all": held(0.7, 0.5), "legible": held(0.8, unneeded), "needs tool": held(0.6, needed)}
    ended = msgspec.structs.replace(result(next(iter(grid.phase())), 0.0), after=after)
    assert summary.end_state(ended) == state
    assert f"| 1 {state} (70%) |" in summary.phase_table([ended])
