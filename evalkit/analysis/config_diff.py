"""In which settings runs differ: what was asked, who was asked, and where it ran."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from evalkit.analysis.machines import machine
from evalkit.runs.folder import RunInfo
from evalkit.runs.imported import IMPORTED, PREDICTIONS

ASKED = "asked"
"""Changes what was asked, or how it was scored."""
MODEL = "model"
"""Who was asked."""
WHERE = "where"
"""Where and how it ran."""

_MODEL_ASKED = ("pixels", "max_model_len")
_MODEL_WHERE = ("dtype", "attention", "compiled")
_WHERE = ("engine", "sandbox", "evalkit", "machine", "concurrency", "packages", "python", "platform", "git", "records")


class ConfigDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One setting that is not the same in all runs.

    Attributes:
        key: its name in `run.json`'s configuration, or "scorers", "evalkit", "machine", "concurrency",
            "packages.NAME", "python", "platform", "git".
        group: `ASKED`, `MODEL` or `WHERE`.
        values: one per run, in order; None where it is not set, or not known (an imported run).
    """

    key: str
    group: str
    values: tuple[Any, ...]


class Made(NamedTuple):
    """How a run was made: its `run.json`, and the rules and versions that gave its verdicts."""

    info: RunInfo
    scorers: tuple[str, ...]


def config_differences(runs: Sequence[Made]) -> list[ConfigDifference]:
    """What differs, what was asked first."""
    found = [
        ConfigDifference(key=key, group=_group(key), values=tuple(values))
        for key, values in _unequal([_settings(run) for run in runs])
    ]
    return sorted(found, key=lambda difference: (ASKED, MODEL, WHERE).index(difference.group))


def matters(difference: ConfigDifference) -> bool:
    """Whether a reader of a leaderboard must see it first: what was asked, by which engine, in which sandbox."""
    return difference.group == ASKED or difference.key.partition(".")[0] in ("engine", "sandbox")


def unknown_to(info: RunInfo) -> bool:
    """Whether a setting that the run does not have is unknown, rather than not set: others made it."""
    return info.config.get("engine") in (IMPORTED, PREDICTIONS)


def _settings(run: Made) -> dict[str, Any]:
    """All that is recorded of how a run was made, as a tree."""
    sessions = run.info.sessions
    places = [session.environment for session in sessions]
    packages = {name for place in places for name in place.get("packages") or {}}
    return {
        **run.info.config,
        "scorers": list(run.scorers),
        "evalkit": run.info.evalkit,
        "machine": _over(str(found) for session in sessions if (found := machine(session))),
        "concurrency": _over(session.concurrency for session in sessions),
        "sandbox": {
            **(run.info.config.get("sandbox") or {}),
            "tier": _over(session.sandbox.get("tier") for session in sessions),
        },
        "packages": {
            name: _over((place.get("packages") or {}).get(name) for place in places) for name in sorted(packages)
        },
        "python": _over(place.get("python") for place in places),
        "platform": _over(place.get("platform") for place in places),
        "git": _over(_commit(place.get("git")) for place in places),
    }


def _unequal(values: list[Any], prefix: str = "") -> Iterator[tuple[str, list[Any]]]:
    """The keys under which trees differ, as ("task.name", a value per tree)."""
    trees = [value for value in values if isinstance(value, Mapping)]
    if len(trees) < len(values):
        # where one side knows nothing of a part, that is one difference and not one for each of its keys
        if any(value != values[0] for value in values):
            yield prefix.rstrip("."), [value or None if isinstance(value, Mapping) else value for value in values]
        return
    for key in sorted({key for tree in trees for key in tree}):
        yield from _unequal([tree.get(key) for tree in trees], f"{prefix}{key}.")


def _group(key: str) -> str:
    first, _, rest = key.partition(".")
    if first in _WHERE or (first == "model" and rest.split(".")[0] in _MODEL_WHERE):
        return WHERE
    if first == "results" or (first == "model" and rest.split(".")[0] not in _MODEL_ASKED):
        return MODEL
    return ASKED


def _over(values: Iterable[Any]) -> Any:
    """What all sessions of a run say; a list where they say different things."""
    found: list[Any] = []
    for value in values:
        if value is not None and value not in found:
            found.append(value)
    return found if len(found) > 1 else found[0] if found else None


def _commit(git: Any) -> str | None:
    if not isinstance(git, Mapping) or not git.get("commit"):
        return None
    return str(git["commit"])[:12] + (" with changes" if git.get("changed") else "")
