"""The tasks of an lmms-eval, read from its YAML files alone and kept on disk by version.

Its own index takes half a minute, as it imports torch first. A name stands for the file that lmms-eval itself would
take: of two with one name, the one found last; a user's own folders never hide a task of the package.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.bridges.lmms.install import Install
from evalkit.errors import EvalkitError, unknown

GENERATION = "generate_until"
_FORMAT = 1
_DEPTH = 8


class Listed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task, as its file describes it.

    Attributes:
        name: lmms-eval's.
        file: its YAML.
        kind: its `output_type`; "generate_until" is the one that evalkit runs.
        dataset: the hub's name of its data set, or a loader such as "parquet".
        config: of the data set; "" for the default.
        split: that is evaluated.
        repeats: answers per question.
    """

    name: str
    file: str
    kind: str = ""
    dataset: str = ""
    config: str = ""
    split: str = ""
    repeats: int = 1

    @property
    def refusal(self) -> str:
        """Why evalkit cannot run it; "" where it can."""
        if self.kind != GENERATION:
            return f"it is of kind {self.kind or 'unknown'}, and evalkit runs {GENERATION} tasks alone"
        return f"it asks each question {self.repeats} times; evalkit has --repeats" if self.repeats > 1 else ""


class Listing(msgspec.Struct):
    """Tasks by name; groups and tags with the names they stand for."""

    tasks: dict[str, Listed] = {}
    groups: dict[str, list[str]] = {}
    version: int = _FORMAT

    def members(self, name: str) -> list[Listed]:
        """The task called `name`, or those of the group or tag called so.

        Raises:
            EvalkitError: there is none, or the group holds something else than tasks.
        """
        if task := self.tasks.get(name):
            return [task]
        if name not in self.groups:
            raise unknown("lmms-eval task", name, [*self.tasks, *self.groups], "evalkit tasks --source lmms")
        return list({task.name: task for task in self._within(name, 0)}.values())

    def _within(self, name: str, depth: int) -> Iterable[Listed]:
        for member in self.groups[name]:
            if task := self.tasks.get(member):
                yield task
            elif member in self.groups and depth < _DEPTH:
                yield from self._within(member, depth + 1)
            else:
                what = "a task with settings of its own" if not member else f"{member}, which is no task"
                raise EvalkitError(f"lmms-eval's group {name} holds {what}; name its tasks one by one")


def listing(install: Install) -> Listing:
    """All tasks of an lmms-eval; those of its package come from the disk where they have been read before."""
    found = _package(install.folder, install.version)
    for folder in install.include:
        more = _read(folder)
        found = Listing(more.tasks | found.tasks, more.groups | found.groups)
    return found


@functools.lru_cache(maxsize=1)
def _package(folder: Path, version: str) -> Listing:
    where = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    file = cache_folder() / f"tasks-{version}-{where}.json"
    try:
        kept = msgspec.json.decode(file.read_bytes(), type=Listing)
        if kept.version == _FORMAT:
            return kept
    except (OSError, msgspec.MsgspecError):
        pass
    found = _read(folder / "tasks")
    keep(file, msgspec.json.encode(found))
    return found


def cache_folder() -> Path:
    """Where the bridge keeps what is slow to get."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "evalkit" / "lmms"


def keep(file: Path, data: bytes) -> None:
    """Write a file of the cache; a disk that does not take it costs time alone."""
    from evalkit.runs.folder import write_whole

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, data)
    except (OSError, EvalkitError):
        return


def _read(root: Path) -> Listing:
    found = Listing()
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in ("__pycache__", ".ipynb_checkpoints")]
        for name in files:
            if name.endswith(".yaml"):
                _add(found, os.path.join(folder, name))
    return found


def _add(found: Listing, file: str) -> None:
    config = _config(file)
    task = config.get("task")
    if isinstance(task, list):
        found.groups[str(config.get("group", ""))] = [member if isinstance(member, str) else "" for member in task]
    elif isinstance(task, str):
        found.tasks[task] = Listed(
            name=task,
            file=file,
            kind=str(config.get("output_type") or GENERATION),
            dataset=str(config.get("dataset_path") or ""),
            config=str(config.get("dataset_name") or ""),
            split=str(config.get("test_split") or config.get("validation_split") or ""),
            repeats=config["repeats"] if isinstance(config.get("repeats"), int) else 1,
        )
        for attribute in ("tag", "group"):
            tags = config.get(attribute) or []
            for tag in [tags] if isinstance(tags, str) else tags:
                if task not in (members := found.groups.setdefault(str(tag), [])):
                    members.append(task)


def _config(file: str, depth: int = 0) -> Mapping[str, Any]:
    """A task's file with those that it includes; empty where it cannot be read, as lmms-eval would fail at it too."""
    import yaml

    try:
        with open(file, "rb") as stream:
            config = yaml.load(stream, Loader=_loader())
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return {}
    if not isinstance(config, dict):
        return {}
    above: dict[str, Any] = {}
    included = config.pop("include", [])
    names: Sequence[Any] = [included] if isinstance(included, str) else included
    for name in reversed(names if depth < _DEPTH else []):
        path = str(name) if os.path.isfile(str(name)) else os.path.join(os.path.dirname(file), str(name))
        above.update(_config(path, depth + 1))
    return {**above, **config}


@functools.cache
def _loader() -> Any:
    """A YAML loader that takes no notice of tags such as `!function`."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """Plain values; anything tagged is nothing."""

    Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    return Loader
