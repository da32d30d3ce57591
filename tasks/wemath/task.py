"""We-Math testmini: 525 visual problems, each asked whole and in its one-step parts (arXiv 2407.01284).

The card beside this file tells where the data is, how answers are scored and what to beware of.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from evalkit.errors import DataError, one_line
from evalkit.images import ImageFile
from evalkit.records import Outcome, Record, Sample, Scalar, Verdict
from evalkit.scoring import score_choice
from evalkit.scoring.judge.question import Asked
from evalkit.sources import HubTable, TsvTable, file_inside, load_hub, load_tsv, place, read_json, read_rows
from evalkit.task import HubDataset, Metric, Task

ROWS_FILE = "testmini.json"
CONCEPTS_FILE = "knowledge_structure_nodes.json"
COLUMNS = dict.fromkeys(("ID", "key", "question", "option", "answer", "knowledge concept"), str)
PARTS = {
    2: ("2steps_1", "2steps_2", "2steps_multi"),
    3: ("3steps_1", "3steps_2", "3steps_3", "3steps_multi"),
}
CATEGORIES = {
    key: ("one-step" if not key.endswith("multi") else {2: "two-step", 3: "three-step"}[steps])
    for steps, keys in PARTS.items()
    for key in keys
}
PROBLEMS = {2: 360, 3: 165}
ROWS = sum(count * len(PARTS[steps]) for steps, count in PROBLEMS.items())

# A label opens an option if text follows it: the official file also has `point ;C.; B. …`, where C is no label.
_LABEL = re.compile(r"(?:^\s*|(?P<semicolon>;)\s*|(?<=\s))(?P<letter>[A-H])[.．:：)、](?!\s*(?:;|$))")


class WeMath(Task):
    """We-Math testmini: one-step, two-step and three-step questions, all multiple choice."""

    name = "wemath"
    version = 1
    summary = "We-Math testmini: 1,740 questions in 525 problems of two or three steps, with IK/IG/CM/RM"
    hub = HubDataset(id="We-Math/We-Math", split="testmini")
    reads = ("hub", "folder", "tsv", "sample")
    official = True
    judge_for = Asked.EXTRACTION
    aliases = ("we-math", "wemath_testmini", "we_math", "wemath_testmini_reasoning", "WeMath_COT")

    @property
    def expected_rows(self) -> int:
        """1,740, or what the task's own sample set holds."""
        return sum(self._expected.values())

    def samples(self) -> Iterator[Sample]:
        """The rows in the file's order; every check is made before the first is given.

        Raises:
            DataError: a row, a column, an image file or a part of a problem is missing, double or wrong.
        """
        official = self.source.kind not in ("hub", "tsv")
        rows, images = self._folder_rows() if official else self._table_rows()
        name = ROWS_FILE if official else "the data set" if self.source.kind == "hub" else "the table"
        concepts = self._concepts() if official else {}
        found = [
            self.prompted(
                _sample(row, image, concepts, f"wemath: {name}", place(number, row, "ID")),
                row,
                f"wemath: {name} {place(number, row, 'ID')}",
            )
            for number, (row, image) in enumerate(zip(rows, images, strict=True), 1)
        ]
        if found:
            _check_complete(found, PROBLEMS if self.source.kind != "sample" else None)
        return iter(found)

    def score(self, sample: Sample, response: str) -> Outcome:
        """Evalkit's strict rule, and beside it the official one."""
        outcome = score_choice(response, sample.choices, sample.answer, f"{self.name}/{self.version}")
        answer = official_answer(response)
        return replace(outcome, official=answer == sample.answer, official_answer=answer)

    def metrics(self, records: Sequence[Record]) -> tuple[Metric, ...]:
        """The official figures under evalkit's strict rule, then under the official rule ("official.")."""
        return wemath_metrics(records, self._expected)

    @cached_property
    def _expected(self) -> dict[str, int]:
        """Rows by key."""
        if self.source.kind == "sample":
            rows = read_rows(self.name, self._folder / ROWS_FILE, COLUMNS, "ID")
            return dict(Counter(row["key"] for row in rows))
        return {key: count for steps, count in PROBLEMS.items() for key in PARTS[steps]}

    @property
    def _folder(self) -> Path:
        if self.source.kind == "sample":
            return self.folder / "sample"
        if self.source.kind != "folder" or self.source.path is None:
            raise DataError(f"wemath: no rows from source {self.source.kind!r}; give --data DIR or --data sample")
        return self.source.path

    def _folder_rows(self) -> tuple[list[dict[str, Any]], list[ImageFile]]:
        rows = read_rows(self.name, self._folder / ROWS_FILE, {**COLUMNS, "image_path": str}, "ID")
        files = [
            file_inside(self.name, self._folder, row["image_path"], place(number, row, "ID"))
            for number, row in enumerate(rows, 1)
        ]
        return rows, [ImageFile.from_path(file) for file in files]

    def _table_rows(self) -> tuple[list[dict[str, Any]], list[ImageFile]]:
        """Rows of the hub, or of VLMEvalKit's table."""
        table: HubTable | TsvTable
        if self.source.kind == "hub":
            column = "image_path"
            table = load_hub(self.name, self.source.hub or self.hub, COLUMNS, [column], "ID")
        else:
            column = "image"
            table = load_tsv(self.name, self.source.path or self.folder, COLUMNS, "ID")
        self.revision = table.revision
        names = (f"{row['ID']}-{row['key']}" for row in table.rows)
        return table.rows, [table.image(column, index, name) for index, name in enumerate(names)]

    def _concepts(self) -> dict[str, str]:
        """Knowledge concept to its second-level category, where the folder has the table."""
        file = self._folder / CONCEPTS_FILE
        if not file.exists():
            return {}
        nodes = read_json(self.name, file)
        try:
            return {str(node.get("root4") or node["root3"]): str(node["root2"]) for node in nodes}
        except (AttributeError, KeyError, TypeError):
            raise DataError(f"wemath: {CONCEPTS_FILE} is no list of nodes with root2, root3 and root4") from None


def parse_options(text: str) -> dict[str, str]:
    """Split the `option` column into letter and text.

    Options are mostly but not always parted by semicolons, letters may skip, and option texts hold
    semicolons and capital letters with points. So the labels are the longest run of ascending letters
    among all that look like one, semicolons deciding between equal runs.
    """
    best: dict[str, tuple[int, int, list[re.Match[str]]]] = {}
    for label in _LABEL.finditer(text):
        letter = label["letter"]
        before = (run for last, run in best.items() if last < letter)
        count, firm, chain = max(before, key=_rank, default=(0, 0, []))
        longer = (count + 1, firm + bool(label["semicolon"]), [*chain, label])
        if letter not in best or _rank(longer) > _rank(best[letter]):
            best[letter] = longer
    labels = max(best.values(), key=_rank, default=(0, 0, []))[2]
    ends = [label.start() for label in labels[1:]] + [len(text)]
    return {
        label["letter"]: text[label.end() : end].strip().removesuffix(";").strip()
        for label, end in zip(labels, ends, strict=False)
    }


def _rank(run: tuple[int, int, object]) -> tuple[int, int]:
    return run[:2]


def official_answer(response: str) -> str | None:
    """The answer that the official scripts read from a response.

    What follows the last literal "Answer" (else the whole response) without `<`, `>`, `:` and `.`: its first
    character, if that is one of A to H (We-Math/We-Math@a57a0e8, evaluation/four_dimensional_metrics.py).
    """
    last = response.rpartition("Answer")[2]
    first = next((c for c in last if c not in "<>:." and not c.isspace()), "")
    return first if first and first in "ABCDEFGH" else None


def _sample(row: Mapping[str, str], image: ImageFile, concepts: Mapping[str, str], source: str, where: str) -> Sample:
    key, concept = row["key"], row["knowledge concept"]
    if key not in CATEGORIES:
        raise DataError(f"{source}: unknown key {one_line(key, 40)!r} {where}")
    if not row["ID"].strip() or not row["question"].strip():
        raise DataError(f"{source}: empty ID or question {where}")
    choices = parse_options(row["option"])
    if len(choices) < 2:
        raise DataError(f"{source}: cannot read the options {one_line(row['option'], 60)!r} {where}")
    if row["answer"] not in choices:
        answer = one_line(row["answer"], 40)
        raise DataError(f"{source}: answer {answer!r} is not among options {', '.join(choices)} {where}")
    metadata: dict[str, Scalar] = {"ID": row["ID"], "key": key, "concept": concept}
    if concept in concepts:
        metadata["concept_category"] = concepts[concept]
    return Sample(
        id=f"{row['ID']}-{key}",
        question="\n".join([row["question"], *(f"{letter}. {text}" for letter, text in choices.items())]),
        images=(image,),
        answer=row["answer"],
        choices=choices,
        category=CATEGORIES[key],
        cluster=row["ID"],
        metadata=metadata,
    )


def _check_complete(samples: Sequence[Sample], problems: Mapping[int, int] | None) -> None:
    """Every problem has each of its parts once, and there are as many problems as there should be."""
    parts: dict[str, list[str]] = defaultdict(list)
    for number, sample in enumerate(samples, 1):
        key = str(sample.metadata["key"])
        if key in parts[sample.cluster]:
            raise DataError(f"wemath: a second row for ID {sample.cluster}, key {key} (row {number})")
        parts[sample.cluster].append(key)
    for problem, keys in parts.items():
        wanted = PARTS[int(keys[0][0])]
        if missing := [key for key in wanted if key not in keys]:
            raise DataError(f"wemath: problem {problem} lacks {', '.join(missing)}")
        if len(keys) > len(wanted):
            raise DataError(f"wemath: problem {problem} has parts of two- and of three-step problems")
    if problems is None:
        return
    for steps, count in problems.items():
        found = sum(keys[0][0] == str(steps) for keys in parts.values())
        if found != count:
            absent = [name for i in range(1, count + 1) if (name := f"{steps}steps_{i}") not in parts]
            first = f"; the first missing is {absent[0]}" if absent else ""
            raise DataError(
                f"wemath: {found} {steps}-step problems, not {count} ({len(samples)} rows, not {ROWS}){first}"
            )


Place = tuple[int, str, str]
"""Repeat, problem and key of a row."""


def wemath_metrics(records: Iterable[Record], expected: Mapping[str, int]) -> tuple[Metric, ...]:
    """All figures of We-Math, strict extraction first, then "official." ones.

    A row whose verdict is an error has no score: it counts in no accuracy, and its problem in none of
    the four kinds. A trajectory that hit a limit gave no right answer, under either rule.

    Args:
        records: one arm's; a row counts once per repeat, the last record of it.
        expected: rows by key in the complete set.
    """
    rows = {(r.repeat, r.sample.cluster, str(r.sample.metadata["key"])): r for r in records}
    repeats = max(1, len({repeat for repeat, _, _ in rows}))
    total = {key: count * repeats for key, count in expected.items()}
    scored = {at: r for at, r in rows.items() if not r.outcome.verdict.is_error}
    strict = {at: r.outcome.verdict is Verdict.CORRECT for at, r in scored.items()}
    official = {at: r.outcome.official is True for at, r in scored.items()}
    concepts = {
        at: (str(category), str(r.sample.metadata.get("concept", "")))
        for at, r in scored.items()
        if CATEGORIES[at[2]] == "one-step" and (category := r.sample.metadata.get("concept_category"))
    }
    return (
        *_figures("", strict, total, concepts),
        *_figures("official.", official, total, concepts),
    )


def _figures(
    prefix: str, right: Mapping[Place, bool], total: Mapping[str, int], concepts: Mapping[Place, tuple[str, str]]
) -> Iterator[Metric]:
    yield _accuracy(f"{prefix}plain_accuracy", list(right.values()), sum(total.values()))
    for name, category in (("s1", "one-step"), ("s2", "two-step"), ("s3", "three-step")):
        values = [value for at, value in right.items() if CATEGORIES[at[2]] == category]
        rows = sum(count for key, count in total.items() if CATEGORIES[key] == category)
        yield _accuracy(f"{prefix}{name}", values, rows)
    yield from _dimensions(prefix, right, sum(n for key, n in total.items() if key.endswith("multi")))
    yield from _categories(prefix, right, concepts)


def _accuracy(name: str, values: Sequence[bool], rows: int) -> Metric:
    lost = rows - len(values)
    note = f"{lost} of {rows} rows missing or without a score" if lost else ""
    count = sum(values)
    return Metric(name=name, value=_share(count, len(values)), n=len(values), count=count, note=note)


def _dimensions(prefix: str, right: Mapping[Place, bool], problems: int) -> Iterator[Metric]:
    """Four kinds of problem and the score (arXiv 2407.01284; evaluation/four_dimensional_metrics.py).

    Insufficient knowledge (IK): whole problem wrong, a part wrong. Inadequate generalisation (IG): whole
    problem wrong, all parts right. Whole problem right is complete mastery (CM) or rote memorisation (RM):
    strict, mastery needs all parts right; loose, one. Score = (CM + IG / 2) / problems. The rate of RM is
    RM / (CM + RM), all others are over the problems.
    """
    parts: dict[tuple[int, str], dict[str, bool]] = defaultdict(dict)
    for (repeat, problem, key), value in right.items():
        parts[repeat, problem][key] = value
    kinds: Counter[str] = Counter()
    n = 0
    for values in parts.values():
        keys = PARTS[int(next(iter(values))[0])]
        if len(values) < len(keys):
            continue
        n += 1
        single = [values[key] for key in keys[:-1]]
        if not values[keys[-1]]:
            kinds["ig" if all(single) else "ik"] += 1
        else:
            kinds["cm_strict" if all(single) else "rm_strict"] += 1
            kinds["cm_loose" if any(single) else "rm_loose"] += 1
    lost = problems - n
    note = f"{lost} of {problems} problems incomplete" if lost else ""
    for kind in ("ik", "ig", "cm_strict", "cm_loose"):
        yield Metric(name=prefix + kind, value=_share(kinds[kind], n), n=n, count=kinds[kind], note=note)
    for mode in ("strict", "loose"):
        rote, whole = kinds[f"rm_{mode}"], kinds["cm_strict"] + kinds["rm_strict"]
        notes = [note] if note else []
        if not whole:
            notes.append("no whole problem right: the rate is 0/0")
        yield Metric(name=f"{prefix}rm_{mode}", value=_share(rote, whole), n=whole, count=rote, note="; ".join(notes))
    for mode in ("strict", "loose"):
        points = kinds[f"cm_{mode}"] + 0.5 * kinds["ig"]
        yield Metric(name=f"{prefix}score_{mode}", value=_share(points, n), n=n, count=points, note=note)


def _categories(
    prefix: str, right: Mapping[Place, bool], concepts: Mapping[Place, tuple[str, str]]
) -> Iterator[Metric]:
    """One-step accuracy by second-level category: the mean over its concepts (evaluation/accuracy.py)."""
    by: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for at, (category, concept) in concepts.items():
        by[category][concept].append(right[at])
    for category, members in sorted(by.items()):
        means = [sum(values) / len(values) for values in members.values()]
        n = sum(len(values) for values in members.values())
        note = f"unweighted mean over {len(means)} concepts"
        yield Metric(name=f"{prefix}category.{category}", value=sum(means) / len(means), n=n, note=note)


def _share(count: float, n: int) -> float | None:
    return count / n if n else None
