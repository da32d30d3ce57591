"""A task's own scoring: filters, `process_results` and aggregation, as lmms-eval's evaluator applies them."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import json
import math
import random
from typing import Any

from .network import Watch

# what `python -m lmms_eval` strips unless it is told otherwise
_REASONING = [["<think>", "</think>"], ["<analysis>", "</analysis>"]]
_MARKS = ("score", "correct", "is_correct", "hit", "match", "acc", "accuracy")
_DEEP = 6


class Unscored(Exception):
    """A response that the task did not score."""


class Scoring:
    """Scores responses to the documents of one task.

    Args:
        task: lmms-eval's.
        watch: tells whether scoring asks the network.
        folder: for files that aggregations write.
    """

    def __init__(self, task: Any, watch: Watch, folder: str) -> None:
        from lmms_eval.api.reasoning import strip_reasoning_tags

        self.task = task
        self.watch = watch
        self.docs = task.eval_docs_no_media if hasattr(task, "eval_docs_no_media") else task.eval_docs
        task.args = argparse.Namespace(output_path=folder, process_with_media=False, tasks=task.config.task)
        self._tags = getattr(task.config, "reasoning_tags", None)
        self._tags = _REASONING if self._tags is None else self._tags
        self._strip = strip_reasoning_tags
        # the retries around it wait two seconds after each failure, and a scorer that fails does so again
        self._process = getattr(type(task).process_results, "__wrapped__", type(task).process_results)
        self._kept: dict[tuple[int, str], dict[str, Any]] = {}
        self.metrics = list(task.aggregation())
        better = task.higher_is_better()
        self._main = [name for name in self.metrics if better.get(name, True)]

    def score(self, index: int, text: str) -> dict[str, Any]:
        """The task's word on a response.

        Returns:
            "items" by metric, in JSON's types; "metric" and "value", the first that has a number for this row alone;
            "guessed", whether the scorer drew at random.

        Raises:
            Unscored: the scorer asked an API for which no key is set, or gave nothing.
        """
        random.seed(index)
        before = random.getstate()
        items = self._items(index, text)
        guessed = random.getstate() != before
        self._kept[index, text] = items
        metric, value = self._value(items)
        shown = {str(name): plain(item) for name, item in items.items()}
        return {"items": shown, "metric": metric, "value": value, "guessed": guessed}

    def aggregate(self, rows: list[tuple[int, str]]) -> dict[str, Any]:
        """The task's own figures over responses, in the order of the documents."""
        items: dict[str, list[Any]] = {}
        failed = ""
        for index, text in sorted(rows):
            try:
                found = self._kept.get((index, text)) or self._items(index, text)
            except Unscored as problem:
                failed = f"row {index} and maybe others cannot be scored: {problem}"
                continue
            for name, item in found.items():
                items.setdefault(name, []).append(item)
        figures: dict[str, Any] = {}
        for name, values in items.items():
            if name in self.task.aggregation():
                with self.watch.watching() as asked:
                    try:
                        value = plain(self._aggregated(name, values))
                        figures[name] = {"value": value, "n": len(values), "note": failed}
                    except Exception as error:
                        why = f"its aggregation failed: {type(error).__name__}: {error}"
                        figures[name] = {"value": None, "n": len(values), "note": why}
                if asked:
                    figures[name] = {"value": None, "n": len(values), "note": f"its aggregation asks {asked[0]}"}
        return figures

    def _items(self, index: int, text: str) -> dict[str, Any]:
        doc = self.docs[index]
        # some scorers guess at random where they find no answer
        random.seed(index)
        with self.watch.watching() as asked:
            try:
                items = self._process(self.task, doc, [self._filtered(text)])
                problem = ""
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
        if asked and not self.watch.allowed:
            raise Unscored(f"its scorer asks {asked[0]}, and no API key is set (OPENAI_API_KEY, or another's)")
        if problem:
            raise Unscored(problem)
        if not isinstance(items, dict) or not items:
            raise Unscored("its process_results gives nothing")
        return items

    def _filtered(self, text: str) -> Any:
        """The response through the task's first filter, and without its reasoning."""
        responses: Any = [[text]]
        filters = getattr(self.task, "_filters", None) or []
        for step in filters[0].filters if filters else []:
            responses = step.apply(responses, self.docs)
        (response,) = responses
        if not filters:
            (response,) = response
        return self._strip(response, self._tags) if isinstance(response, str) and self._tags != "none" else response

    def _value(self, items: dict[str, Any]) -> tuple[str, float | None]:
        there = [name for name in self._main if name in items]
        key = getattr(self.task.config, "score_key", "score")
        for name in there:
            value = number(items[name], key)
            if value is not None:
                return name, value
        for name in there:
            try:
                # some print a table, here one a row
                with contextlib.redirect_stdout(io.StringIO()):
                    value = number(self._aggregated(name, [items[name]]), key)
            except Exception:
                # an aggregation that one row is too little for, such as a correlation, says so in any way it likes;
                # a row for which no metric has a number is not scored, and is told
                continue
            if value is not None:
                return name, value
        return there[0] if there else "", None

    def _aggregated(self, name: str, items: list[Any]) -> Any:
        aggregation = self.task.aggregation()[name]
        if "args" in inspect.signature(aggregation).parameters:
            return aggregation(items, args=self.task.args)
        return aggregation(items)


def number(item: Any, key: str) -> float | None:
    """A metric's number for a row; None where it has none."""
    if isinstance(item, dict):
        return next((value for name in (key, *_MARKS) if (value := number(item.get(name), "")) is not None), None)
    try:
        value = float(item) if not isinstance(item, str | bytes) else math.nan
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def plain(value: Any, depth: int = 0) -> Any:
    """A value in JSON's types."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, dict) and depth < _DEEP:
        return {str(name): plain(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple | set) and depth < _DEEP:
        return [plain(item, depth + 1) for item in value]
    found = number(value, "")
    return str(value) if found is None else found


def as_json(value: Any) -> bytes:
    """One line of JSON."""
    return json.dumps(value, ensure_ascii=True).encode() + b"\n"
