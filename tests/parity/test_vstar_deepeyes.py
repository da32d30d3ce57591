"""V*Bench against recorded DeepEyes runs: their totals, and evalkit's own verdicts beside the recorded ones."""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from evalkit.content import find_tasks, task_named
from evalkit.records import RECORD_VERSION, Outcome, Record, Sample, StopReason, Trajectory, Turn, Verdict
from evalkit.scoring.vlmevalkit import handed_over, matched_option
from evalkit.task import DataSource, Metric

ENTRY = task_named("vstar", find_tasks())
VStar: Any = ENTRY.kind
options = importlib.import_module(f"{VStar.__module__}.options")
CATEGORIES = ("direct_attributes", "relative_position")


class Expected(NamedTuple):
    """What a recorded run holds.

    Attributes:
        files: the logs' names, with the category left open.
        right: recorded as right, by category.
        percent: the accuracies recorded beside the run: all, and by category.
        verdicts: evalkit's, over all rows.
        unparsed: evalkit's unparsed rows by image, and why the answer names no option.
        disagree: rows whose verdict is not the recorded one, by image, and why.
        whole: right under VLMEvalKit's matcher where it is given the whole response instead of the answer.
    """

    files: str
    right: tuple[int, int]
    percent: tuple[str, str, str]
    verdicts: dict[Verdict, int]
    unparsed: dict[str, str]
    disagree: dict[str, str]
    whole: int


OTHER_TEXT = "letter A with the text of option B"
NOT_SEEN = "says that the thing is not in the image"
RUNS = {
    "ds4_bugfree": Expected(
        files="ds4_bugfree/global_step_48/result_{}_tmp_acc.jsonl",
        right=(105, 64),
        percent=("88.48", "91.30", "84.21"),
        verdicts={Verdict.CORRECT: 169, Verdict.INCORRECT: 18, Verdict.UNPARSED: 4},
        unparsed=dict.fromkeys(("sa_3796.jpg", "sa_62783.jpg", "sa_83235.jpg", "sa_25678.jpg"), OTHER_TEXT),
        disagree={},
        whole=160,
    ),
    "deepeyes_7b_rerun": Expected(
        files="deepeyes_7b_rerun/result_{}_deepeyes_acc.jsonl",
        right=(103, 67),
        percent=("89.01", "89.57", "88.16"),
        verdicts={Verdict.CORRECT: 170, Verdict.INCORRECT: 18, Verdict.UNPARSED: 3},
        unparsed={"sa_55722.jpg": NOT_SEEN, "sa_65476.jpg": NOT_SEEN, "sa_56362.jpg": OTHER_TEXT},
        disagree={},
        whole=67,
    ),
}


class Row(NamedTuple):
    """A recorded row as a sample with the options of its prompt, the last response, and the recorded verdict."""

    sample: Sample
    response: str
    right: bool
    handed_over: str


@pytest.fixture(scope="module")
def items(shared_data: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((shared_data / "vstar" / "items_from_deepeyes_logs.json").read_text())
    return found


@pytest.fixture(scope="module", params=RUNS)
def run(request: pytest.FixtureRequest, shared_data: Path) -> tuple[Expected, list[Row]]:
    expected = RUNS[request.param]
    rows = []
    for category in CATEGORIES:
        log = shared_data / "vstar" / "deepeyes_logs" / expected.files.format(category)
        rows += [_row(category, json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()]
    return expected, rows


def _row(category: str, line: dict[str, Any]) -> Row:
    prompt = next(part["text"] for part in line["pred_output"][1]["content"] if part["type"] == "text")
    choices = dict(re.findall(r"^([A-D])\. (.*)$", prompt, re.MULTILINE))
    assert choices["A"] == line["answer"]
    # Where a call stands before the answer, the log goes on with the next prompt, which was never answered.
    response = [message["content"] for message in line["pred_output"] if message["role"] == "assistant"][-1]
    sample = Sample(
        id=f"{category}/{Path(line['image']).stem}",
        question=line["question"],
        answer="A",
        choices=choices,
        category=category,
    )
    return Row(sample, response, line["acc"] == 1.0, line["pred_ans"])


def figures(rows: list[Row], outcomes: list[Outcome]) -> dict[str, Metric]:
    records = [
        Record(
            version=RECORD_VERSION,
            sample=row.sample,
            trajectory=Trajectory(prompt="", stop=StopReason.ANSWERED, turns=(Turn(text=row.response),)),
            outcome=outcome,
        )
        for row, outcome in zip(rows, outcomes, strict=True)
    ]
    return {metric.name: metric for metric in opened().metrics(records)}


def opened() -> Any:
    return VStar(DataSource(kind="folder"), ENTRY.folder)


def test_recorded_verdicts_give_the_recorded_totals(run: tuple[Expected, list[Row]]) -> None:
    expected, rows = run
    found = figures(rows, [Outcome(verdict=Verdict.CORRECT if r.right else Verdict.INCORRECT) for r in rows])
    assert (found["micro"].count, found["micro"].n) == (sum(expected.right), 191)
    for category, right, n in zip(CATEGORIES, expected.right, (115, 76), strict=True):
        assert (found[category].count, found[category].n, found[category].note) == (right, n, "")
    for name, percent in zip(("micro", *CATEGORIES), expected.percent, strict=True):
        assert f"{100 * (found[name].value or 0):.2f}" == percent
    assert found["macro"].value == pytest.approx((expected.right[0] / 115 + expected.right[1] / 76) / 2, abs=1e-12)


def test_strict_verdicts_beside_the_recorded_ones(run: tuple[Expected, list[Row]]) -> None:
    expected, rows = run
    task = opened()
    outcomes = [task.score(row.sample, row.response) for row in rows]
    assert Counter(outcome.verdict for outcome in outcomes) == expected.verdicts
    assert {outcome.reason for outcome in outcomes} == {"answer_tag", "no_choice"}
    differing, unparsed = set(), {}
    for row, outcome in zip(rows, outcomes, strict=True):
        image = f"{Path(row.sample.id).name}.jpg"
        if outcome.right() != row.right:
            differing.add(image)
        if outcome.verdict is Verdict.UNPARSED:
            assert outcome.answer is not None
            swapped = outcome.answer == f"A. {row.sample.choices['B']}"
            unparsed[image] = OTHER_TEXT if swapped else NOT_SEEN
            assert swapped or re.search(r"\bno \w+ (visible|present) in the image\b", row.handed_over)
    assert differing == set(expected.disagree)
    assert unparsed == expected.unparsed
    assert figures(rows, outcomes)["micro"].count == sum(expected.right)


def test_the_official_rule_agrees_on_what_the_agent_hands_over(run: tuple[Expected, list[Row]]) -> None:
    expected, rows = run
    assert all(handed_over(row.response) == row.handed_over for row in rows)
    outcomes = [opened().score(row.sample, row.response) for row in rows]
    assert [outcome.official for outcome in outcomes] == [row.right for row in rows]
    assert figures(rows, outcomes)["official.micro"].count == sum(expected.right)
    # "<answer>A. …" is no word of its own to it, and long responses are not searched for an option's text.
    assert sum(matched_option(row.response, row.sample.choices) == "A" for row in rows) == expected.whole


def test_the_items_behind_the_logs(items: list[dict[str, Any]], run: tuple[Expected, list[Row]]) -> None:
    known = {item["image"].removesuffix(".jpg"): item for item in items}
    assert len(known) == 191
    shape = Counter((item["category"], len(item["options"])) for item in items)
    assert shape == {("direct_attributes", 4): 107, ("direct_attributes", 2): 8, ("relative_position", 2): 76}
    for row in run[1]:
        item = known[row.sample.id]
        assert row.sample.question == item["question"]
        assert list(row.sample.choices.values()) == item["options"]
    for item in items:
        assert len(set(map(options.plain, item["options"]))) == len(item["options"])


def test_shuffling_spreads_the_right_option_evenly(items: list[dict[str, Any]]) -> None:
    def letters(seed: int) -> Counter[tuple[int, str]]:
        return Counter(
            (len(item["options"]), "ABCD"[options.shuffled(item["question"], item["options"], seed).index(0)])
            for item in items
        )

    # Pinned, since a change of these changes every prompt; a fair draw lies this far off once in four.
    assert letters(0) == {
        (2, "A"): 48, (2, "B"): 36, (4, "A"): 23, (4, "B"): 27, (4, "C"): 34, (4, "D"): 23,
    }  # fmt: skip
    total: Counter[tuple[int, str]] = sum(map(letters, range(50)), Counter())
    for (n, letter), count in total.items():
        rows = 50 * (84 if n == 2 else 107)
        assert abs(count - rows / n) < 4 * (rows * (n - 1)) ** 0.5 / n, letter


def test_shuffling_does_not_depend_on_how_a_source_writes_the_options(items: list[dict[str, Any]]) -> None:
    for item in items:
        order = options.shuffled(item["question"], item["options"], 0)
        short = options.distinct_parts(item["options"])
        assert all(short)
        assert options.shuffled(item["question"].upper().rstrip("?."), short, 0) == order
        assert options.shuffled(item["question"], short[::-1], 0) == [len(short) - 1 - place for place in order]


def test_the_hubs_text_of_every_item_is_read_back(items: list[dict[str, Any]]) -> None:
    for item in items:
        labelled = [f"({letter}) {text}" for letter, text in zip("ABCD", item["options"], strict=False)]
        text = "\n".join([item["question"], *labelled, options.CLOSING])
        assert options.parse_text(text) == (item["question"], item["options"])
