"""HR-Bench's figures: the mean over cycles, as its authors have it, and beside it all four rows right."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from evalkit.records import Record, Rule
from evalkit.task import Metric

from .cycles import CATEGORIES, TURNS

NAMES = {"single": "fsp", "cross": "fcp"}
"""The authors' names: fine-grained single-instance and cross-instance perception."""


def hrbench_metrics(records: Iterable[Record], expected: Mapping[str, int]) -> tuple[Metric, ...]:
    """All figures under evalkit's strict rule, then under the official rule ("official.").

    A row whose verdict is an error has no score: it counts in no accuracy, and its question in no all-four
    figure.

    Args:
        records: one arm's; a row counts once per repeat, the last record of it.
        expected: questions by category in the complete set.
    """
    rows = list({(r.repeat, r.sample.id): r for r in records}.values())
    repeats = max(1, len({r.repeat for r in rows}))
    total = {category: count * repeats for category, count in expected.items()}
    return tuple(
        metric
        for prefix, rule in (("", Rule.STRICT), ("official.", Rule.OFFICIAL))
        for metric in _figures(prefix, rows, rule, total)
    )


def _figures(prefix: str, rows: Sequence[Record], rule: Rule, total: Mapping[str, int]) -> Iterator[Metric]:
    kinds = {
        "overall": (rows, sum(total.values())),
        **{NAMES[name]: ([r for r in rows if r.sample.category == name], total[name]) for name in CATEGORIES},
    }
    for name, (members, count) in kinds.items():
        yield _mean_over_cycles(prefix + name, members, rule, count)
    for name, (members, count) in kinds.items():
        yield _all_four(f"{prefix}all_four" + ("" if name == "overall" else f".{name}"), members, rule, count)
    for cycle in sorted({_cycle(record) for record in rows}):
        part = [record for record in rows if _cycle(record) == cycle]
        right = [record.outcome.right(rule) for record in part if _scored(record)]
        yield Metric.share(f"{prefix}cycle.{cycle}", right, _lost(part, sum(total.values())))


def _mean_over_cycles(name: str, rows: Sequence[Record], rule: Rule, questions: int) -> Metric:
    """The unweighted mean of the cycles' accuracies (hrbench/vlmeval/dataset/image_mcq.py, b17b199).

    With cycles of equal size it is the plain accuracy, and only then it has a count.
    """
    by: dict[str, list[Record]] = defaultdict(list)
    for record in rows:
        by[_cycle(record)].append(record)
    right = {
        cycle: values
        for cycle, part in sorted(by.items())
        if (values := [record.outcome.right(rule) for record in part if _scored(record)])
    }
    n = sum(map(len, right.values()))
    if not n:
        return Metric(name=name, value=None, n=0, note="no such rows")
    notes = [f"cycle {cycle}: {why}" for cycle, part in sorted(by.items()) if (why := _lost(part, questions))]
    if absent := TURNS - len(by):
        notes.append(f"{absent} of {TURNS} cycles have no rows")
    even = len({len(values) for values in right.values()}) == 1 and len(right) == TURNS
    if not even:
        notes.append("cycles of unequal size weigh alike")
    value = sum(sum(values) / len(values) for values in right.values()) / len(right)
    count = sum(map(sum, right.values())) if even else None
    return Metric(name=name, value=value, n=n, count=count, note="; ".join(notes))


def _all_four(name: str, rows: Sequence[Record], rule: Rule, questions: int) -> Metric:
    """The share of questions that are right in all four option orders, over those with four scores."""
    by: dict[tuple[int, str], list[bool]] = defaultdict(list)
    for record in rows:
        if _scored(record):
            by[record.repeat, record.sample.cluster].append(record.outcome.right(rule))
    right = [all(values) for values in by.values() if len(values) == TURNS]
    lost = questions - len(right)
    return Metric.share(name, right, f"{lost} of {questions} questions incomplete" if lost else "")


def _lost(rows: Sequence[Record], expected: int) -> str:
    """Which rows of a cycle have no score, and why; "" if all have one."""
    errors = Counter(record.outcome.verdict for record in rows if not _scored(record))
    parts = [f"{expected - len(rows)} missing"] if len(rows) < expected else []
    parts += [f"{count} {verdict}" for verdict, count in sorted(errors.items())]
    return f"of {expected} rows {', '.join(parts)}" if parts else ""


def _scored(record: Record) -> bool:
    return not record.outcome.verdict.is_error


def _cycle(record: Record) -> str:
    return str(record.sample.metadata.get("cycle", ""))
