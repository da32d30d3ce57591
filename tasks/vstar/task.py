"""V*Bench: small details in large photographs, 191 multiple-choice questions (arXiv 2312.14135).

The card beside this file tells where the data is, how answers are scored and what to beware of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from msgspec.structs import replace

from evalkit.errors import DataError, EvalkitError
from evalkit.records import Outcome, Record, Rule, Sample
from evalkit.scoring import score_choice
from evalkit.scoring.judge.question import Asked
from evalkit.scoring.vlmevalkit import handed_over, matched_option
from evalkit.sources import load_hub, load_tsv
from evalkit.task import DataSource, HubDataset, Metric, Option, Task

from .items import CATEGORIES, HUB_COLUMNS, TSV_COLUMNS, Item, count_annotations, folder_items, hub_items, tsv_items
from .options import LETTERS, shuffled

ROWS = {"direct_attributes": 115, "relative_position": 76}
ORDERS = ("shuffled", "published")
REVISION = "d9ae62c903da0c98336e85c5ee89cd863b04b4da"
MATCHER = "VLMEvalKit's matcher without its judge"


class VStar(Task):
    """V*Bench: attributes of small objects (two or four options) and positions of two (two options)."""

    name = "vstar"
    version = 1
    summary = "V*Bench: 191 questions on small details of large photographs, by attribute and by position"
    hub = HubDataset(id="craigwu/vstar_bench", split="test", revision=REVISION)
    mirrors = (
        HubDataset(id="lmms-lab/vstar-bench", split="test"),
        HubDataset(id="lmms-lab-encoder/vstar-bench", split="test"),
    )
    reads = ("hub", "folder", "tsv", "sample")
    official = True
    judge_for = Asked.EXTRACTION
    options: ClassVar[Mapping[str, Option]] = {"order": "shuffled", "seed": 0}
    aliases = (
        "vstar_bench",
        "vstar_bench_direct_attributes",
        "vstar_bench_relative_position",
        "vstar_bench_reasoning",
        "vstar_bench_direct_attributes_reasoning",
        "vstar_bench_relative_position_reasoning",
        "VStarBench",
    )

    def __init__(self, source: DataSource, folder: Path, options: Mapping[str, str] | None = None) -> None:
        """See `Task`.

        Raises:
            EvalkitError: `order` is neither "shuffled" nor "published", or see `Task`.
        """
        super().__init__(source, folder, options)
        if self.settings["order"] not in ORDERS:
            given = self.settings["order"]
            raise EvalkitError(f"option order of task vstar is {' or '.join(ORDERS)}, not {given!r}")

    @property
    def expected_rows(self) -> int:
        """191, or what the task's own sample set holds."""
        return sum(self._expected.values())

    def samples(self) -> Iterator[Sample]:
        """The rows, attributes first; every check is made before the first is given.

        Raises:
            DataError: a row, a column, an image file or an annotation is missing, double or wrong.
            EvalkitError: prompts come from the data, and options are not in its order.
        """
        items = sorted(self._items(), key=lambda item: CATEGORIES.index(item.category))
        _check_complete(items, self._expected)
        seed = int(self.settings["seed"]) if self.settings["order"] == "shuffled" else None
        if self.prompts.user and seed is not None:
            raise EvalkitError(
                f"--prompt-from-dataset {self.prompts.user}: prompts have the options in the published order; "
                "add --task-option order=published"
            )
        return iter([self.prompted(_sample(item, seed), item.row, item.where) for item in items])

    def score(self, sample: Sample, response: str) -> Outcome:
        """Evalkit's strict rule, and beside it VLMEvalKit's matcher, from which most published figures come."""
        outcome = score_choice(response, sample.choices, sample.answer, f"{self.name}/{self.version}")
        answer = matched_option(handed_over(response), sample.choices)
        return replace(outcome, official=answer == sample.answer, official_answer=answer)

    def metrics(self, records: Sequence[Record]) -> tuple[Metric, ...]:
        """Over all rows, by category, and the mean of both: under the strict rule, then under the official one."""
        return vstar_metrics(records, self._expected)

    @cached_property
    def _expected(self) -> Mapping[str, int]:
        """Rows by category."""
        return count_annotations(self.folder / "sample") if self.source.kind == "sample" else ROWS

    def _items(self) -> Iterable[Item]:
        source = self.source
        if source.kind == "sample":
            return folder_items(self.folder / "sample")
        if source.kind == "folder" and source.path is not None:
            return folder_items(source.path)
        if source.kind == "tsv" and source.path is not None:
            return tsv_items(load_tsv(self.name, source.path, TSV_COLUMNS, "index"))
        if source.kind != "hub":
            raise DataError(f"vstar: no rows from source {source.kind!r}; give --data DIR or --data sample")
        table = load_hub(self.name, source.hub or self.hub, HUB_COLUMNS, ["image"], "question_id")
        self.revision = table.revision
        return hub_items(table)


def _sample(item: Item, seed: int | None) -> Sample:
    """The row as it is asked: its options in the order of `seed`, or as published."""
    places = range(len(item.options)) if seed is None else shuffled(item.question, item.options, seed)
    choices = {letter: item.options[place] for letter, place in zip(LETTERS, places, strict=False)}
    return Sample(
        id=item.id,
        question="\n".join([item.question, *(f"{letter}. {text}" for letter, text in choices.items())]),
        images=(item.image,),
        answer=LETTERS[list(places).index(item.right)],
        choices=choices,
        category=item.category,
        metadata={**item.metadata, "published_answer": LETTERS[item.right]},
    )


def _check_complete(items: Sequence[Item], expected: Mapping[str, int]) -> None:
    """No row is there twice, and there are as many of each category as there should be."""
    first: dict[str, Item] = {}
    for item in items:
        if item.id in first:
            raise DataError(f"{item.where}: a second row for {item.id}")
        first[item.id] = item
    found = Counter(item.category for item in items)
    counts = [(category, found[category], count) for category, count in expected.items()]
    wrong = [f"{have} {category} rows, not {count}" for category, have, count in counts if have != count]
    if wrong:
        numbers = {item.number for item in items}
        absent = sorted(set(range(sum(expected.values()))) - numbers) if None not in numbers else []
        named = f"; missing: {', '.join(map(str, absent[:5]))}" if absent else ""
        raise DataError(f"vstar: {' and '.join(wrong)} ({len(items)} rows, not {sum(expected.values())}){named}")


def vstar_metrics(records: Iterable[Record], expected: Mapping[str, int]) -> tuple[Metric, ...]:
    """V*Bench's figures, strict first, then "official." ones.

    `micro` is over all rows, as in the official script (penghao-wu/vstar@4ede664, vstar_bench_eval.py);
    `macro` is the mean of the two categories. A row whose verdict is an error has no score.

    Args:
        records: one arm's; a row counts once per repeat, the last record of it.
        expected: rows by category in the complete set.
    """
    rows = {(record.repeat, record.sample.id): record for record in records}
    repeats = max(1, len({repeat for repeat, _ in rows}))
    scored = [record for record in rows.values() if not record.outcome.verdict.is_error]
    total = {category: count * repeats for category, count in expected.items()}
    return (*_figures("", scored, total, Rule.STRICT), *_figures("official.", scored, total, Rule.OFFICIAL))


def _figures(prefix: str, scored: Sequence[Record], total: Mapping[str, int], rule: Rule) -> Iterator[Metric]:
    def share(name: str, right: Sequence[bool], rows: int) -> Metric:
        lost = rows - len(right)
        notes = [MATCHER] if rule is Rule.OFFICIAL else []
        notes += [f"{lost} of {rows} rows missing or without a score"] if lost else []
        return Metric.share(prefix + name, right, "; ".join(notes))

    right = {
        category: [record.outcome.right(rule) for record in scored if record.sample.category == category]
        for category in total
    }
    yield share("micro", [value for values in right.values() for value in values], sum(total.values()))
    shares = [share(category, values, total[category]) for category, values in right.items()]
    yield from shares
    means = [metric.value for metric in shares if metric.value is not None]
    whole = len(means) == len(shares)
    yield Metric(
        name=f"{prefix}macro",
        value=sum(means) / len(means) if whole else None,
        n=sum(metric.n for metric in shares),
        note="unweighted mean of the categories" if whole else "a category has no rows",
    )
