"""What must hold when a broken run has been resumed."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

_TIMES = ("timing", "seconds", "started_at", "total_s", "retries")
# rows come in another order, and so do sums
_ROUNDING = 1e-12
_FILES = frozenset({"run.json", "samples.jsonl", "summary.json", "report.md", "images"})


class Found(NamedTuple):
    """What a run folder holds.

    Attributes:
        rows: digest of each sample's valid record without times.
        summary: the figures without times.
        good: lines of each sample that are no error.
        errors: lines that are.
        torn: bytes after the last whole line, and lines that are no JSON.
        images: names of images that lines speak of and that are not there, or not whole.
        others: files that a finished run has not.
    """

    rows: dict[str, str]
    summary: Any
    good: Counter[str]
    errors: int
    torn: int
    images: tuple[str, ...]
    others: tuple[str, ...]


def found(run: Path) -> Found:
    """Read a run folder, with nothing of evalkit's own."""
    rows: dict[str, str] = {}
    good: Counter[str] = Counter()
    named: dict[str, int] = {}
    errors = torn = 0
    store, images, summary = run / "samples.jsonl", run / "images", run / "summary.json"
    lines = (store.read_bytes() if store.is_file() else b"").split(b"\n")
    torn += len(lines.pop())
    for line in lines:
        try:
            record = msgspec.json.decode(line)
        except msgspec.MsgspecError:
            torn += 1
            continue
        id = record["sample"]["id"]
        rows[id] = digest(record)
        if record["outcome"]["verdict"].endswith("_error"):
            errors += 1
        else:
            good[id] += 1
        for image in _images(record):
            named[image["sha256"]] = image["size"]
    kept = images.iterdir() if images.is_dir() else ()
    stored = {path.name.partition(".")[0]: path.stat().st_size for path in kept}
    return Found(
        rows=rows,
        summary=timeless(json.loads(summary.read_text())) if summary.is_file() else None,
        good=good,
        errors=errors,
        torn=torn,
        images=tuple(name for name, size in named.items() if stored.get(name) != size),
        others=tuple(sorted(path.name for path in (run.iterdir() if run.is_dir() else ()) if path.name not in _FILES)),
    )


def timeless(tree: Any) -> Any:
    """Without what a clock has measured."""
    if isinstance(tree, dict):
        left = {key: timeless(value) for key, value in tree.items() if key not in _TIMES and key != "latency"}
        if isinstance(budgets := left.get("budgets"), list):
            left["budgets"] = [curve for curve in budgets if curve["unit"] != "seconds"]
        return left
    return [timeless(value) for value in tree] if isinstance(tree, list) else tree


def digest(record: Any) -> str:
    """Of a record without times."""
    return hashlib.sha256(json.dumps(timeless(record), sort_keys=True).encode()).hexdigest()


def prefix(run: Path) -> bytes:
    """The whole lines that are stored by now."""
    file = run / "samples.jsonl"
    data = file.read_bytes() if file.is_file() else b""
    return data[: data.rfind(b"\n") + 1]


def difference(mine: Any, theirs: Any, place: str = "") -> str:
    """Where two trees first differ; empty where they do not."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in sorted(mine.keys() | theirs.keys()):
            if said := difference(mine.get(key), theirs.get(key), f"{place}.{key}"):
                return said
        return ""
    if isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        pairs = enumerate(zip(mine, theirs, strict=True))
        return next((said for at, (a, b) in pairs if (said := difference(a, b, f"{place}[{at}]"))), "")
    if isinstance(mine, float) and isinstance(theirs, float) and math.isclose(mine, theirs, rel_tol=_ROUNDING):
        return ""
    return "" if mine == theirs else f"{place.lstrip('.')}: {str(mine)[:60]} in place of {str(theirs)[:60]}"


def _images(tree: Any) -> list[dict[str, Any]]:
    if isinstance(tree, dict):
        if "sha256" in tree and "size" in tree:
            return [tree]
        return [image for value in tree.values() for image in _images(value)]
    return [image for value in tree for image in _images(value)] if isinstance(tree, list) else []
