"""The questions of a DeepEyes log, as samples of evalkit's tasks.

A log holds the question, the options as they were shown, and the right answer. That is all that scoring
needs: an answer's letter means what the log's prompt says it means, whatever order evalkit's own task shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from evalkit.bridges._deepeyes_join import by_content, by_id
from evalkit.bridges._deepeyes_log import Logged
from evalkit.errors import DataError, EvalkitError, one_line
from evalkit.records import Sample

VSTAR_CATEGORIES = ("direct_attributes", "relative_position")
HRBENCH_CATEGORIES = ("single", "cross")
CYCLE = "ABCD"
"""HR-Bench asks each question four times in a row, the right option at each letter in turn."""

_OPTION = re.compile(r"([A-Z])\.(?: |$)")
_RESOLUTION = re.compile(r"(?:hr_?bench|hrb)[_-]?([48]k)", re.IGNORECASE)


def samples_of(task: str, rows: Sequence[Logged], data: Sequence[Sample] | None = None) -> list[Sample]:
    """One sample per row, with the ids that the task gives.

    Args:
        task: "vstar", "hrbench_4k" or "hrbench_8k".
        rows: of all files of one run, in order.
        data: the task's own rows, for images and whatever else the log does not hold. HR-Bench's rows are
            found in them by what they ask; without them a row's place in the file is its id.

    Raises:
        EvalkitError: DeepEyes has no logs of the task.
        DataError: a row is of another task, is double, or cannot be read; the message names file and line.
    """
    read = _READERS.get(task)
    if read is None:
        raise EvalkitError(f"DeepEyes logs are read for tasks {', '.join(_READERS)}, not for {one_line(task, 80)}")
    samples = [read(task, index, logged) for index, logged in enumerate(rows)]
    if data is None:
        if task != "vstar":
            _check_cycles(samples, rows)
    elif task == "vstar":
        samples = by_id(samples, rows, data)
    else:
        samples = by_content(samples, rows, data)
    first: dict[str, Logged] = {}
    for sample, logged in zip(samples, rows, strict=True):
        if sample.id in first:
            raise DataError(f"{logged.where}: row {sample.id} is double, {first[sample.id].where} has it too")
        first[sample.id] = logged
    return samples


def known_ids(task: str, rows: int) -> list[str]:
    """The ids of all rows of a complete set, where the logs alone tell them: HR-Bench's are places."""
    return [] if task == "vstar" else [str(index) for index in range(rows)]


def shown_options(logged: Logged) -> dict[str, str]:
    """The options as the log's own prompt shows them, letter to text.

    Raises:
        DataError: the prompt is not in DeepEyes' form, or its letters are not in order.
    """
    prompt = next(message.text for message in logged.row.pred_output if message.role == "user")
    head = f"Question: {logged.row.question}\nOptions:"
    if not prompt.startswith(head):
        raise DataError(f"{logged.where}: the prompt in pred_output does not show the row's question and its options")
    options: dict[str, str] = {}
    for line in prompt[len(head) :].rpartition("\nThink first")[0].strip().split("\n"):
        letter = chr(ord("A") + len(options))
        found = _OPTION.match(line)
        if found and found[1] == letter:
            options[letter] = line[found.end() :]
        elif options:
            options[chr(ord(letter) - 1)] += f"\n{line}"
        else:
            break
    if len(options) < 2:
        raise DataError(f"{logged.where}: cannot read the options from the prompt in pred_output")
    return {letter: text.strip() for letter, text in options.items()}


def _vstar(task: str, index: int, logged: Logged) -> Sample:
    row = logged.row
    if row.image is None:
        raise _other_task(logged, task, "image")
    stem = row.image.rpartition("/")[2].rpartition(".")[0]
    category = next((c for c in VSTAR_CATEGORIES if logged.file.name.startswith(f"result_{c}_")), None)
    if category is None:
        raise DataError(
            f"{one_line(logged.file, 200)}: cannot tell the category; "
            f"name the file result_{VSTAR_CATEGORIES[0]}_… or result_{VSTAR_CATEGORIES[1]}_…, as the runner does"
        )
    if not stem:
        raise DataError(f"{logged.where}: image {one_line(row.image, 60)!r} is not the name of an image file")
    choices = shown_options(logged)
    letters = [letter for letter, text in choices.items() if text == row.answer.strip()]
    if row.answer_choice in letters:
        letters = [row.answer_choice]
    if len(letters) != 1:
        times = "not" if not letters else "more than once"
        raise DataError(f"{logged.where}: answer {one_line(row.answer, 60)!r} is {times} among the options shown")
    return _sample(logged, f"{category}/{stem}", choices, letters[0], category)


def _hrbench(task: str, index: int, logged: Logged) -> Sample:
    row = logged.row
    if row.category not in HRBENCH_CATEGORIES:
        raise _other_task(logged, task, "category")
    named = _RESOLUTION.search(logged.file.name)
    if named and not task.endswith(named[1].lower()):
        raise DataError(f"{one_line(logged.file, 200)} holds rows of {named[1].upper()}, not of task {task}")
    choices = shown_options(logged)
    if row.answer not in choices:
        raise DataError(f"{logged.where}: answer {one_line(row.answer, 40)!r} is not among the options shown")
    if row.answer_str is not None and choices[row.answer] != row.answer_str.strip():
        raise DataError(
            f"{logged.where}: answer_str is {one_line(row.answer_str, 60)!r} where option {row.answer} shows "
            f"{one_line(choices[row.answer], 60)!r}"
        )
    cycle = index % len(CYCLE)
    return _sample(logged, str(index), choices, row.answer, row.category, f"q{index - cycle}", cycle)


def _check_cycles(samples: Sequence[Sample], rows: Sequence[Logged]) -> None:
    """HR-Bench's rows have no number but their place: it must fit the letter that is right."""
    for index, (sample, logged) in enumerate(zip(samples, rows, strict=True)):
        due = CYCLE[index % len(CYCLE)]
        if sample.answer != due or logged.row.question != rows[index - index % len(CYCLE)].row.question:
            raise DataError(
                f"{logged.where} does not go on with the question before it (its right option is {sample.answer}, "
                f"{due} is due): a row is missing or double before it; --data lets rows be found by what they ask"
            )


def _sample(
    logged: Logged,
    id: str,
    choices: dict[str, str],
    answer: str,
    category: str,
    cluster: str = "",
    cycle: int | None = None,
) -> Sample:
    return Sample(
        id=id,
        question="\n".join([logged.row.question, *(f"{letter}. {text}" for letter, text in choices.items())]),
        answer=answer,
        choices=choices,
        category=category,
        cluster=cluster,
        metadata={} if cycle is None else {"cycle": str(cycle)},
    )


def _other_task(logged: Logged, task: str, column: str) -> DataError:
    return DataError(f"{logged.where} is no row of {task}: it has no {column!r}, or one of another benchmark")


_READERS: dict[str, Callable[[str, int, Logged], Sample]] = {
    "vstar": _vstar,
    "hrbench_4k": _hrbench,
    "hrbench_8k": _hrbench,
}
