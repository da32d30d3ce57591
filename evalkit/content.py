"""Where content (`tasks/`, `reports/`) lies, and how tasks are found in it.

Built-in tasks, a user's own folder (`--task-dir`) and the entry-point group `evalkit.tasks` go through the
same loader: a task folder holds a `task.py` that defines subclasses of `Task`. A folder that cannot be
loaded is an error for its tasks alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from evalkit.errors import EvalkitError, one_line, unknown
from evalkit.prompts import PromptColumns
from evalkit.recorded import PREFIX, SOURCE, RecordedTask
from evalkit.task import DataSource, HubDataset, Task

ENTRY_POINTS = "evalkit.tasks"
HARNESSES = {"lmms": "evalkit.bridges.lmms.entries"}
"""Other harnesses whose tasks go by `PREFIX:NAME`, and the module that finds them; loaded for such a name alone."""


class TaskEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A task that was found.

    Attributes:
        kind: the class; None when its folder could not be loaded.
        folder: where its `task.py` is.
        origin: "built-in", the user's folder, or the distribution that brings it.
        error: why it could not be loaded.
    """

    name: str
    kind: type[Task] | None
    folder: Path
    origin: str
    error: str = ""


def content_dir(name: str) -> Path:
    """The folder `tasks` or `reports`, in a checkout or in an installed wheel."""
    package = Path(__file__).resolve().parent
    packed = package / "_content" / name
    return packed if packed.is_dir() else package.parent / name


def find_tasks(folders: Sequence[Path] = ()) -> dict[str, TaskEntry]:
    """All tasks by name; a user's folder goes before entry points, and those before the built-in ones.

    Args:
        folders: task folders, or folders of task folders.

    Raises:
        EvalkitError: a folder of the user's holds no `task.py`.
    """
    found: dict[str, TaskEntry] = {}
    for entry in _from_folder(content_dir("tasks"), "built-in"):
        found[entry.name] = entry
    for entry in _from_entry_points():
        found[entry.name] = entry
    for folder in folders:
        entries = list(_from_folder(folder, str(folder)))
        if not entries:
            raise EvalkitError(f"no task in {folder}: it has no task.py, nor has any folder in it")
        found.update((entry.name, entry) for entry in entries)
    return dict(sorted(found.items()))


def task_named(name: str, tasks: Mapping[str, TaskEntry]) -> TaskEntry:
    """The task called `name` or aliased so.

    Raises:
        EvalkitError: there is none, or it could not be loaded.
    """
    if harness := _harness(name):
        entry_of: TaskEntry = harness.entry(name)
        return entry_of
    if name.startswith(PREFIX):
        # of such a benchmark nothing is known but what its run folders hold
        return TaskEntry(name=name, kind=RecordedTask.kind(name), folder=Path(), origin=SOURCE)
    entry = tasks.get(name) or next((e for e in tasks.values() if e.kind is not None and _aliased(name, e.kind)), None)
    if entry is None:
        raise unknown("task", name, tasks, "evalkit tasks")
    if entry.kind is None:
        raise EvalkitError(f"task {name} cannot be loaded from {entry.folder}: {entry.error}")
    return entry


def _aliased(name: str, kind: type[Task]) -> bool:
    return name.casefold() in {kind.name.casefold(), *(alias.casefold() for alias in kind.aliases)}


def _harness(name: str) -> Any:
    """The module that finds the tasks of another harness, where `name` is of one."""
    module = HARNESSES.get(name.partition(":")[0]) if ":" in name else None
    return importlib.import_module(module) if module else None


def tasks_named(name: str, tasks: Mapping[str, TaskEntry]) -> list[TaskEntry]:
    """The task called `name`, or all tasks of the group called so.

    Raises:
        EvalkitError: see `task_named`.
    """
    if harness := _harness(name):
        others: list[TaskEntry] = harness.entries(name)
        return others
    members = [entry for entry in tasks.values() if entry.kind is not None and entry.kind.group == name]
    return members if members and name not in tasks else [task_named(name, tasks)]


def open_task(
    entry: TaskEntry,
    data: str | None = None,
    revision: str | None = None,
    options: Mapping[str, str] | None = None,
    prompts: PromptColumns | None = None,
) -> Task:
    """The task, ready to give its samples.

    Args:
        entry: from `task_named`.
        data: "hub", "sample", "generated", the id of one of the task's hub data sets, a folder, or a .tsv
            file; None takes the task's default.
        revision: commit or tag of the hub data set.
        options: task options as given on the command line.
        prompts: columns of its rows with prompts; None for none.

    Raises:
        EvalkitError: no such data source, or an option does not fit.
    """
    assert entry.kind is not None
    source = _source(entry.kind, data or entry.kind.default_source(), revision)
    if source.kind not in entry.kind.reads:
        reads = ", ".join(entry.kind.reads)
        raise EvalkitError(f"task {entry.name} takes no rows from {data or source.kind}; it reads: {reads}")
    task = entry.kind(source, entry.folder, options)
    task.prompts = prompts or task.prompts
    return task


def _source(task: type[Task], data: str, revision: str | None) -> DataSource:
    """Where `data` says that rows come from."""
    known = {hub.id: hub for hub in (task.hub, *task.mirrors) if hub is not None}
    if data == "hub" and task.hub is None:
        raise EvalkitError(f"task {task.name} has no hub data set; use --data sample or --data DIR")
    hub = task.hub if data == "hub" else None if Path(data).exists() else known.get(data)
    if hub is not None:
        return DataSource(kind="hub", hub=msgspec.structs.replace(hub, revision=revision or hub.revision))
    if revision is not None:
        raise EvalkitError(f"--revision goes with hub data, not with --data {data}")
    if data in ("sample", "generated"):
        return DataSource(kind=data)
    path = Path(data)
    if path.is_dir():
        return DataSource(kind="folder", path=path)
    if path.is_file() and path.suffix.lower() == ".tsv":
        return DataSource(kind="tsv", path=path)
    others = ", ".join(("hub", "sample", *(id for id in known if id != (task.hub.id if task.hub else ""))))
    what = "is neither a folder nor a .tsv file" if path.exists() else "no such folder or .tsv file"
    raise EvalkitError(f"--data {data}: {what} (other sources: {others})")


def reopen_task(entry: TaskEntry, config: Mapping[str, Any]) -> Task:
    """The task as a run had it, for its rules and figures: its rows need not be at hand.

    Args:
        entry: from `task_named`.
        config: the `task` part of the run's configuration.

    Raises:
        EvalkitError: the task no longer has an option that the run used.
    """
    assert entry.kind is not None
    options = {name: str(value) for name, value in config["options"].items()}
    hub = msgspec.convert(config["dataset"], HubDataset | None)
    return entry.kind(DataSource(kind=config["source"], hub=hub), entry.folder, options)


def _from_folder(folder: Path, origin: str) -> Iterable[TaskEntry]:
    files = [folder / "task.py"] if (folder / "task.py").is_file() else sorted(folder.glob("*/task.py"))
    for file in files:
        try:
            module = _load(file)
            kinds = _tasks_of(module)
            if not kinds:
                raise EvalkitError("it defines no Task with a name")
        except Exception as error:
            # a task's own code may fail in any way; it must not take the other tasks with it
            why = one_line(f"{type(error).__name__}: {error}")
            yield TaskEntry(name=file.parent.name, kind=None, folder=file.parent, origin=origin, error=why)
            continue
        for kind in kinds:
            yield TaskEntry(name=kind.name, kind=kind, folder=file.parent, origin=origin)


def _from_entry_points() -> Iterable[TaskEntry]:
    for point in entry_points(group=ENTRY_POINTS):
        origin = point.dist.name if point.dist else point.value
        try:
            loaded = point.load()
            kinds = _tasks_of(loaded) if isinstance(loaded, ModuleType) else _tasks_among([loaded])
        except Exception as error:
            # the same holds for code of another distribution
            why = one_line(f"{type(error).__name__}: {error}")
            yield TaskEntry(name=point.name, kind=None, folder=Path(), origin=origin, error=why)
            continue
        for kind in kinds:
            yield TaskEntry(name=kind.name, kind=kind, folder=Path(inspect.getfile(kind)).parent, origin=origin)


def _load(file: Path) -> ModuleType:
    name = f"evalkit_task_{file.parent.name}_{abs(hash(file.resolve())):x}"
    if name in sys.modules:
        return sys.modules[name]
    # as a package, so that a task.py may import its neighbours: from .board import Board
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=[str(file.parent)])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _tasks_of(module: ModuleType) -> list[type[Task]]:
    return [kind for kind in _tasks_among(vars(module).values()) if kind.__module__ == module.__name__]


def _tasks_among(values: Iterable[object]) -> list[type[Task]]:
    return [
        value
        for value in values
        if inspect.isclass(value) and issubclass(value, Task) and isinstance(getattr(value, "name", None), str)
    ]
