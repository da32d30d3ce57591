"""Settings in which a board's runs differ, those that matter for a comparison apart from the others."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from evalkit.analysis.board import Board, Entry
from evalkit.analysis.config_diff import ConfigDifference
from evalkit.reporting.settings import setting
from evalkit.reporting.words import several
from evalkit.runs.imported import IMPORTED, PREDICTIONS

_MOST = 6


class Value(NamedTuple):
    """One value of a setting, and whose it is."""

    value: str
    runs: str


class Setting(NamedTuple):
    """One setting and its different values."""

    key: str
    values: list[Value]


class Differences(NamedTuple):
    """What differs.

    Attributes:
        matter: settings to know before comparing.
        others: the rest.
    """

    matter: list[Setting]
    others: list[Setting]


def differences(board: Board) -> Differences:
    """A board's differences; runs with equal values share a line."""
    return Differences(
        *([_setting(one, board.entries) for one in group] for group in (board.config, board.config_rest))
    )


def _setting(difference: ConfigDifference, entries: tuple[Entry, ...]) -> Setting:
    runs: dict[bytes, tuple[str, list[str]]] = {}
    for value, entry in zip(difference.values, entries, strict=True):
        unknown = value is None and entry.engine in (IMPORTED, PREDICTIONS)
        words = setting(value, unknown, 160)
        key = repr(msgspec.to_builtins(value)).encode("utf-8", "surrogatepass") + (b"?" if unknown else b"")
        runs.setdefault(key, (words, []))[1].append(entry.run)
    return Setting(difference.key, [Value(words, several(names, _MOST)) for words, names in runs.values()])
