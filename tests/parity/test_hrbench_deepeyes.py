"""HR-Bench 4K as a recorded DeepEyes run answered it: the log's own totals, and evalkit's verdicts beside them.

Three readings of the same 800 recorded answers (`pred_ans`, what the log's code took for the answer) and of the
800 last messages of the model:

| reading | right | single | cross |
|---|---|---|---|
| the log's letter rule on `pred_ans` | 584 | 361 | 223 |
| the authors' matcher ("official") on `pred_ans` | 584 | 361 | 223 |
| evalkit's strict rule on `pred_ans` | 580 | 361 | 219 |
| the authors' matcher on the last message | 579 | 361 | 218 |
| evalkit's strict rule on the last message | 581 | 363 | 218 |

Why they differ, row by row (`DISAGREEMENTS` below; every other row is read alike by all five):

- 276, 279: the last message has two answer tags. The first says that there is no such thing in the image, the
  second names the right option. The log's code and the matcher take the first, the strict rule the last, which is
  what the model ended with.
- 608 to 611: `pred_ans` is reasoning and a tool call with an impossible box (status "error"); no answer was given,
  and no message was recorded. The log's rule counts them right because the right letter occurs somewhere in the
  text, the matcher because it is the only option letter. The strict rule reads no answer out of it.
- 440, 601: status "error", and the one message recorded ends in a tool call without an answer; the message that
  `pred_ans` comes from is not in the log.
- 277: no option was named at all; no rule finds one, the strict one says "unparsed".
"""

from __future__ import annotations

import importlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from evalkit import DataSource, ImageFile, Outcome, Record, Sample, StopReason, Trajectory, Verdict
from evalkit.content import find_tasks
from evalkit.records import RECORD_VERSION
from evalkit.task import Metric, Task


class Recorded(NamedTuple):
    """The task, its 800 samples (without images), and the log's lines in the same order."""

    task: Task
    groups: list[list[Any]]
    samples: list[Sample]
    log: list[dict[str, Any]]


@pytest.fixture(scope="module")
def recorded(shared_data: Path) -> Recorded:
    folder = shared_data / "hrbench"
    if not folder.is_dir():
        pytest.skip("the HR-Bench logs are not in ../shared/data/hrbench")
    entry = find_tasks()["hrbench_4k"]
    assert entry.kind is not None, entry.error
    module = importlib.import_module(entry.kind.__module__)
    rows = json.loads((folder / "items_4k_from_deepeyes_log.json").read_text(encoding="utf-8"))
    image = ImageFile.from_bytes(b"", "none")
    items = [
        module._item(row | {"index": row["row"], "cycle_category": row["cycle_pos"]}, number, image, "log")
        for number, row in enumerate(rows, 1)
    ]
    groups = module.questions(items, "log")
    cluster = {item.id: f"q{group[0].id}" for group in groups for item in group}
    lines = (folder / "deepeyes_logs" / "result_hr_bench_4k_deepeyes.jsonl").read_text(encoding="utf-8").splitlines()
    return Recorded(
        entry.kind(DataSource(kind="folder"), entry.folder),
        groups,
        [module._sample(item, cluster[item.id]) for item in items],
        [json.loads(line) for line in lines],
    )


def test_the_rows_are_200_complete_questions(recorded: Recorded) -> None:
    assert [[item.number for item in group] for group in recorded.groups] == [
        list(range(first, first + 4)) for first in range(1, 801, 4)
    ]
    # 26 questions share text, right option and options with others, on other images: only their place tells
    texts = Counter(group[0].text for group in recorded.groups)
    assert (len(texts), sum(n for n in texts.values() if n > 1)) == (183, 26)
    assert Counter(sample.category for sample in recorded.samples) == {"single": 400, "cross": 400}
    for sample, line in zip(recorded.samples, recorded.log, strict=True):
        assert (sample.question.split("\n")[0], sample.answer) == (line["question"].strip(), line["answer"])


def logs_own_rule(gold: str, answer: str) -> bool:
    """A leading letter that stands alone decides; without one, the right letter anywhere will do."""
    text = answer.strip()
    if text and text[0] in "ABCDEF" and (len(text) == 1 or text[1] in ".、 ,"):
        return text[0] == gold
    return gold in text


def last_message(line: dict[str, Any]) -> str:
    texts = [message["content"] for message in line["pred_output"] if message["role"] == "assistant"]
    assert all(isinstance(text, str) for text in texts)
    return texts[-1] if texts else ""


Rule = Callable[[Sample, dict[str, Any]], bool]


def strict(recorded: Recorded, text: Callable[[dict[str, Any]], str]) -> Rule:
    return lambda sample, line: recorded.task.score(sample, text(line)).verdict is Verdict.CORRECT


def official(recorded: Recorded, text: Callable[[dict[str, Any]], str]) -> Rule:
    return lambda sample, line: recorded.task.score(sample, text(line)).official is True


def figures(recorded: Recorded, rule: Rule) -> dict[str, Metric]:
    """The task's figures where `rule` gives the verdicts."""
    records = [
        Record(
            version=RECORD_VERSION,
            sample=sample,
            trajectory=Trajectory(prompt="", stop=StopReason.ENDED),
            outcome=Outcome(verdict=Verdict.CORRECT if rule(sample, line) else Verdict.INCORRECT),
        )
        for sample, line in zip(recorded.samples, recorded.log, strict=True)
    ]
    return {metric.name: metric for metric in recorded.task.metrics(records)}


def counts(found: dict[str, Metric]) -> tuple[Any, ...]:
    names = ("overall", "fsp", "fcp", "cycle.0", "cycle.1", "cycle.2", "cycle.3", "all_four")
    assert not any(found[name].note for name in names)
    return tuple(found[name].count for name in names)


def pred_ans(line: dict[str, Any]) -> str:
    answer = line["pred_ans"]
    assert isinstance(answer, str)
    return answer


def test_the_logs_own_figures(recorded: Recorded) -> None:
    found = figures(recorded, lambda sample, line: logs_own_rule(sample.answer, line["pred_ans"]))
    assert counts(found) == (584, 361, 223, 145, 146, 146, 147, 133)
    assert found["overall"].n == 800
    assert found["overall"].value == pytest.approx(0.73)
    assert found["fsp"].value == pytest.approx(361 / 400)
    assert found["fcp"].value == pytest.approx(223 / 400)
    assert (found["all_four"].n, found["all_four.fsp"].n, found["all_four.fcp"].n) == (200, 100, 100)


def test_evalkits_rules_on_the_recorded_answers(recorded: Recorded) -> None:
    assert counts(figures(recorded, official(recorded, pred_ans))) == (584, 361, 223, 145, 146, 146, 147, 133)
    assert counts(figures(recorded, strict(recorded, pred_ans)))[:3] == (580, 361, 219)
    assert counts(figures(recorded, official(recorded, last_message)))[:3] == (579, 361, 218)
    assert counts(figures(recorded, strict(recorded, last_message)))[:3] == (581, 363, 218)


# row: log, strict and official on `pred_ans`, strict and official on the last message
DISAGREEMENTS = {
    276: (False, "unparsed", False, "correct", False),
    277: (False, "unparsed", False, "unparsed", False),
    279: (False, "unparsed", False, "correct", False),
    440: (True, "correct", True, "unparsed", False),
    601: (False, "incorrect", False, "unparsed", False),
    **dict.fromkeys((608, 609, 610, 611), (True, "unparsed", True, "unparsed", False)),
}


def test_every_disagreement_is_known(recorded: Recorded) -> None:
    found = {}
    for row, (sample, line) in enumerate(zip(recorded.samples, recorded.log, strict=True)):
        short, long = (recorded.task.score(sample, text) for text in (line["pred_ans"], last_message(line)))
        right = logs_own_rule(sample.answer, line["pred_ans"])
        verdicts = (right, str(short.verdict), short.official, str(long.verdict), long.official)
        word = "correct" if right else "incorrect"
        if verdicts != (right, word, right, word, right):
            found[row] = verdicts
    assert found == DISAGREEMENTS


def test_the_responses_support_the_verdicts(recorded: Recorded) -> None:
    """What the text above says of the disagreeing rows, checked on the rows."""
    for row in (276, 279):
        text = last_message(recorded.log[row])
        assert text.count("<answer>") == text.count("</answer>") == 2
        last = text.rpartition("<answer>")[2].partition("</answer>")[0]
        assert last.startswith(f"{recorded.samples[row].answer}. ")
    for row in range(608, 612):
        line = recorded.log[row]
        assert line["status"] == "error"
        assert not any(message["role"] == "assistant" for message in line["pred_output"])
        assert "<answer>" not in line["pred_ans"]
        assert "<tool_call>" in line["pred_ans"]
    for row in (440, 601):
        line = recorded.log[row]
        assert line["status"] == "error"
        assert "<answer>" not in last_message(line)
