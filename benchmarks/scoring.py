"""How fast recorded responses are scored, and how long the worst texts take.

The responses are those recorded with the benchmarks (MathVista's official outputs, DeepEyes' logs on V* and
HR-Bench), cycled up to the number wanted. A repeat meets a warm cache of formula comparisons; the figure of the
first cycle, which does not, is printed beside it.

usage: python benchmarks/scoring.py --data ../shared/data [--rows 100000]
"""

from __future__ import annotations

import argparse
import json
import runpy
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from evalkit.records import Outcome
from evalkit.scoring import equivalent, score_choice, score_list, score_number
from evalkit.scoring._math_client import CLIENT

ROOT = Path(__file__).resolve().parents[1]

Row = Callable[[], Outcome]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    rows = [*mathvista(options.data / "mathvista"), *hrbench(options.data / "hrbench"), *vstar(options.data / "vstar")]
    if not rows:
        sys.exit(f"no recorded responses under {options.data}")
    start = time.perf_counter()
    equivalent("\\sqrt{2}", "2\\pi")
    print(f"start of the algebra process   {time.perf_counter() - start:8.2f} s (once per run)")
    first, _ = score(rows, len(rows))
    print(f"first cycle                    {len(rows):8d} rows, {first:.2f} s, {len(rows) / first:.0f} rows/s")
    total, reasons = score(rows, options.rows)
    print(f"all                            {options.rows:8d} rows, {total:.2f} s, {options.rows / total:.0f} rows/s")
    for (kind, reason), count in sorted(reasons.items()):
        print(f"  {kind:7} {reason:15} {count / options.rows:7.2%}")
    pathological()


def score(rows: list[tuple[str, Row]], wanted: int) -> tuple[float, Counter[tuple[str, str]]]:
    """Score `wanted` rows, in cycles; prints the slowest and how many asked the algebra process."""
    reasons: Counter[tuple[str, str]] = Counter()
    slowest, asked = 0.0, 0
    start = before = time.perf_counter()
    for kind, row in islice(cycle(rows), wanted):
        questions = CLIENT.asked
        reasons[kind, row().reason] += 1
        asked += CLIENT.asked > questions
        now = time.perf_counter()
        slowest, before = max(slowest, now - before), now
    print(f"slowest response {slowest * 1000:.1f} ms; {asked / wanted:.3%} asked the algebra process")
    return before - start, reasons


def mathvista(folder: Path) -> Iterator[tuple[str, Row]]:
    for file in sorted((folder / "official_outputs").glob("output_*.json")):
        for row in json.loads(file.read_text(encoding="utf-8")).values():
            response = str(row.get("response") or "")
            if row["question_type"] == "multi_choice":
                choices = {chr(65 + place): text for place, text in enumerate(row["choices"])}
                gold = next(letter for letter, text in choices.items() if text == row["answer"])
                yield "choice", choice(response, choices, gold)
            elif row["answer_type"] == "list":
                yield "list", partial(score_list, response, row["answer"], "bench")
            else:
                yield "number", number(response, row)


def hrbench(folder: Path) -> Iterator[tuple[str, Row]]:
    items, log = (
        folder / "items_4k_from_deepeyes_log.json",
        folder / "deepeyes_logs" / "result_hr_bench_4k_deepeyes.jsonl",
    )
    if items.is_file() and log.is_file():
        recorded = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        for item, row in zip(json.loads(items.read_text(encoding="utf-8")), recorded, strict=True):
            yield "choice", choice(answer(row), {letter: str(item[letter]) for letter in "ABCD"}, item["answer"])


def vstar(folder: Path) -> Iterator[tuple[str, Row]]:
    items = folder / "items_from_deepeyes_logs.json"
    if not items.is_file():
        return
    options = {Path(item["image"]).name: item["options"] for item in json.loads(items.read_text(encoding="utf-8"))}
    for log in sorted((folder / "deepeyes_logs").rglob("*.jsonl")):
        for line in log.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            choices = {chr(65 + place): text for place, text in enumerate(options[Path(row["image"]).name])}
            yield "choice", choice(answer(row), choices, "A")


def answer(row: dict[str, Any]) -> str:
    """The last of the assistant's texts, else the log's own extraction."""
    texts = [turn["content"] for turn in row["pred_output"] if turn.get("role") == "assistant"]
    texts = [text for text in texts if isinstance(text, str) and "<answer>" in text]
    return texts[-1] if texts else f"<answer>{row.get('pred_ans') or ''}</answer>"


def choice(response: str, choices: dict[str, str], gold: str) -> Row:
    return partial(score_choice, response, choices, gold, "bench")


def number(response: str, row: dict[str, Any]) -> Row:
    precision = None if row["precision"] is None else int(row["precision"])
    return partial(score_number, response, row["answer"], "bench", precision=precision, unit=row["unit"] or "")


def pathological() -> None:
    """The time of each text made to keep a parser busy, under every rule."""
    texts = runpy.run_path(str(ROOT / "tests" / "unit" / "pathological.py"))
    choices = {"A": "\\frac{1}{2}", "B": "2\\pi", "C": "5", "D": "(x+1)^2"}
    found: list[tuple[float, str, str]] = []
    for name, text in texts["FORMULAS"].items():
        found.append((seconds(partial(equivalent, text, "x^2+2x+1")), "equivalent", name))
    for name, text in texts["RESPONSES"].items():
        found.append((seconds(partial(score_choice, text, choices, "A", "bench")), "choice", name))
        found.append((seconds(partial(score_number, text, "5", "bench")), "number", name))
        found.append((seconds(partial(score_list, text, "[1, 2]", "bench")), "list", name))
    print(f"pathological texts: {len(found)} questions; each must stay below 1 s")
    for took, rule, name in sorted(found, reverse=True):
        print(f"  {took * 1000:8.1f} ms  {rule:10} {name}")


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
