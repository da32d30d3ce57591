"""The gate's rules in a file: `evalkit.toml`, or `[tool.evalkit.gate]` in `pyproject.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import EvalkitError, one_line, unknown
from evalkit.gate.rules import GateRule, check_rules, parse_rule

OWN = "evalkit.toml"
PYPROJECT = "pyproject.toml"
_MAX = 2**20
_HOW = "docs/gate.md"


def read_gate_config(file: Path) -> tuple[GateRule, ...]:
    """The rules of a configuration.

    ```toml
    [gate]
    fail = ["accuracy:noninferior:1pt", "tool_rate:max:+5pt"]

    [gate.tasks.vstar]
    fail = ["accuracy:noninferior:2pt"]     # in place of the one above, on vstar

    [gate.tasks.vstar.categories.direct_attributes]
    fail = ["accuracy:noninferior:3pt"]     # and beside it, of that part
    ```

    In `pyproject.toml` each table begins with `tool.evalkit.`.

    Args:
        file: either of the two; every other name is read as `evalkit.toml`.

    Raises:
        EvalkitError: it cannot be read, has a key that does not exist, or rules that contradict each other.
    """
    tree, where = _tree(file), "gate"
    if file.name == PYPROJECT:
        where = "tool.evalkit.gate"
        tree = _evalkit(file, tree)
    if "gate" not in tree:
        raise EvalkitError(f"{file} has no table [{where}]")
    if file.name != PYPROJECT:
        _known(file, tree, ("gate",), "table")
    try:
        rules = tuple(_rules(file, _table(file, tree["gate"], where), where))
        check_rules(rules)
    except EvalkitError as error:
        text = str(error)
        raise error if text.startswith(str(file)) else EvalkitError(f"{file}: {text}") from error
    if not rules:
        raise EvalkitError(f'{file} has no rule under [{where}]: write e.g. fail = ["accuracy:noninferior:1pt"]')
    return rules


def find_gate_config(folder: Path) -> Path | None:
    """The configuration of a folder: `evalkit.toml`, else a `pyproject.toml` that has rules; None without one.

    An `evalkit.toml` with anything in it counts: one without rules is a mistake, and is read to say so.

    Raises:
        EvalkitError: a file is there and cannot be read.
    """
    own, shared = folder / OWN, folder / PYPROJECT
    if own.is_file() and _tree(own):
        return own
    return shared if shared.is_file() and "gate" in _evalkit(shared, _tree(shared)) else None


def _evalkit(file: Path, tree: Mapping[str, Any]) -> dict[str, Any]:
    return _table(file, _table(file, tree.get("tool", {}), "tool").get("evalkit", {}), "tool.evalkit")


def _rules(file: Path, tree: Mapping[str, Any], where: str) -> Iterator[GateRule]:
    _known(file, tree, ("fail", "tasks"), f"key of [{where}]")
    yield from _fail(file, tree, where)
    for task, part in _table(file, tree.get("tasks", {}), f"{where}.tasks").items():
        place = f"{where}.tasks.{one_line(task, 60)}"
        table = _table(file, part, place)
        _known(file, table, ("fail", "categories"), f"key of [{place}]")
        yield from _fail(file, table, place, task=task)
        for category, inner in _table(file, table.get("categories", {}), f"{place}.categories").items():
            spot = f"{place}.categories.{one_line(category, 60)}"
            within = _table(file, inner, spot)
            _known(file, within, ("fail",), f"key of [{spot}]")
            yield from _fail(file, within, spot, task=task, category=category)


def _fail(file: Path, tree: Mapping[str, Any], where: str, task: str = "", category: str = "") -> Iterator[GateRule]:
    rules = tree.get("fail", [])
    if not isinstance(rules, list) or not all(isinstance(rule, str) for rule in rules):
        raise EvalkitError(f'{file}: fail of [{where}] is a list of rules, e.g. ["accuracy:noninferior:1pt"]')
    for rule in rules:
        yield parse_rule(rule, task=task, category=category)


def _table(file: Path, value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise EvalkitError(f"{file}: {where} is a table, [{where}]")
    return value


def _known(file: Path, tree: Mapping[str, Any], names: tuple[str, ...], kind: str) -> None:
    for name in tree:
        if name not in names:
            raise EvalkitError(f"{file}: {unknown(kind, name, names, _HOW)}")


def _tree(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            text = stream.read(_MAX + 1)
        if len(text) > _MAX:
            raise EvalkitError(f"{file} is larger than a configuration can be")
        return tomllib.loads(text.decode("utf-8"))
    except OSError as error:
        raise EvalkitError(f"cannot read {file}: {error.strerror or one_line(error)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EvalkitError(f"{file} is no TOML: {one_line(error, 120)}") from error
