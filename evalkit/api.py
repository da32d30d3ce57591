"""evalkit as a library: run tasks, open run folders, compare them. `import evalkit` has these names.

```python
import evalkit

[run] = evalkit.run(model="metis-nano", tasks="panel_probe", limit=50)
run.summary.accuracy.value            # 0.86
run.table[["sample", "verdict"]]      # a pandas frame, one row a trajectory
evalkit.compare("runs/a", run).against[0].flips
```
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from evalkit.errors import EvalkitError, ExitCode, one_line, unknown
from evalkit.records import Record, Rule, Sample

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.analysis import Analysis, Summary
    from evalkit.analysis.comparison import Comparison
    from evalkit.cli._request import RunRequest
    from evalkit.hooks import Hook
    from evalkit.runs.folder import RunInfo

__all__ = ["Run", "compare", "load_run", "run"]

T = TypeVar("T")


class Run:
    """A run folder, read when its parts are asked for; what has been read is kept.

    Attributes:
        folder: where it is.
        rule: whose verdicts the summary and the tables rest on.
        code: what the command line would have ended with; None for a run that was opened and not made.
        task_dirs: folders of the user's own tasks, where the run's is one of them.
    """

    def __init__(
        self,
        folder: Path,
        rule: Rule = Rule.STRICT,
        code: ExitCode | None = None,
        task_dirs: Sequence[Path] = (),
    ) -> None:
        self.folder = folder
        self.rule = rule
        self.code = code
        self.task_dirs = tuple(task_dirs)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, {self.model} on {self.task})"

    def __fspath__(self) -> str:
        """The folder, so that a run can be given wherever a path can."""
        return str(self.folder)

    @cached_property
    def info(self) -> RunInfo:
        """What is in `run.json`: the configuration, when and where it ran.

        Raises:
            DataError: it is no run folder.
        """
        from evalkit.runs.folder import read_info

        return read_info(self.folder)

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.info.config["model"]["name"])

    @property
    def task(self) -> str:
        """The benchmark's name."""
        return str(self.info.config["task"]["name"])

    @cached_property
    def records(self) -> list[Record]:
        """The valid record of each trajectory, of every arm, in order; images are handles, read on `open` or `read`.

        Raises:
            DataError: a line is corrupt.
        """
        from evalkit.runs.store import latest_records

        return list(latest_records(self.folder).values())

    @property
    def samples(self) -> list[Sample]:
        """The benchmark's items that the agent was asked, each once."""
        return list({record.sample.id: record.sample for record in self.records}.values())

    @cached_property
    def summary(self) -> Summary:
        """All figures, made anew from the records.

        Raises:
            EvalkitError: the task is not to be found; one of the user's own needs `task_dirs`.
        """
        from evalkit.analysis import summarise
        from evalkit.analysis.task_opener import TaskOpener
        from evalkit.runs.run_records import RunRecords

        info = self.info
        return summarise(
            TaskOpener(self.task_dirs)(info),
            self.model,
            info.due_rows,
            RunRecords(self.folder),
            self.rule,
            drawn_apart=info.drawn_apart,
            prices=info.prices,
            calibration=info.calibration,
        )

    @property
    def table(self) -> pd.DataFrame:
        """One row a trajectory; `evalkit.analysis.columns.SAMPLES` says what the columns mean."""
        return self.analysis.runs[0].samples

    @cached_property
    def analysis(self) -> Analysis:
        """Every table: accuracy, tool use, calls, latency, tokens, pixels, outcomes, errors."""
        from evalkit.analysis import analyse

        return analyse([self.folder], self.rule)


def run(
    model: str | Path = "metis-nano", tasks: str | Sequence[str] = (), *, hooks: Sequence[Hook] = (), **options: Any
) -> list[Run]:
    """Run tasks through an agent, as `evalkit run` does: it resumes where it stopped, and shows its figures.

    It may be called in a notebook, where an event loop runs already. The first Ctrl-C there finishes what is in
    flight.

    Args:
        model: a model card's name or file, a folder of weights, or a hub id.
        tasks: names of tasks, in a list or separated by commas.
        hooks: told of every run; see `evalkit.Hook`.
        **options: every other option of `evalkit run`, by its name with underscores: `limit=100`,
            `base_url=["http://…/v1"]`, `counterfactual=True`, `out="runs"`, `log_to=["mlflow"]`.

    Returns:
        One for each task that was run, in order, finished or not: see `Run.code`.

    Raises:
        EvalkitError: something is missing or broken, there is no such option, or its value does not fit.
        KeyboardInterrupt: it was stopped; calling it again goes on.
        SystemExit: the process was told to end (SIGTERM); what was finished is stored.
    """
    from evalkit.cli._session import run_tasks
    from evalkit.cli.run import request_of
    from evalkit.runs.scheduler import Stop

    kinds = get_type_hints(request_of, include_extras=True)
    for name in options:
        if name not in kinds:
            raise unknown("option", name, kinds, "evalkit run --help")
    given: dict[str, Any] = {name: _option(name, kinds[name], value) for name, value in options.items()}
    names = tasks if isinstance(tasks, str) else ",".join(tasks)
    request: RunRequest = request_of(tasks=names, model=str(model), **given)
    hooks = [_hook(hook) for hook in (hooks if isinstance(hooks, Sequence) else [hooks])]
    stop = Stop()
    code, done = _apart(lambda: run_tasks(request, hooks, stop), stop.press)
    if stop.terminated:
        raise SystemExit(int(ExitCode.TERMINATED))
    if code is ExitCode.INTERRUPTED:
        raise KeyboardInterrupt("stopped; evalkit.run with the same arguments goes on")
    return [Run(folder, request.rule, each, request.task_dirs) for folder, each in done]


def load_run(path: str | Path, rule: Rule = Rule.STRICT, task_dirs: Sequence[Path] = ()) -> Run:
    """A run folder, of evalkit's or imported.

    Args:
        path: the folder, or an address in object storage.
        rule: whose verdicts its summary and its tables rest on.
        task_dirs: folders of the user's own tasks, where the run's is one of them.

    Raises:
        DataError: it is no run folder.
    """
    from evalkit.cli._remote import run_folder

    found = Run(run_folder(path), rule, task_dirs=task_dirs)
    found.info  # noqa: B018  # what is no run folder is said here and not at first use
    return found


def compare(
    reference: str | Path | Run, *others: str | Path | Run, rule: Rule = Rule.STRICT, allowed: Collection[str] = ()
) -> Comparison:
    """Runs of one task against the first of them, sample by sample, as `evalkit compare` does.

    Args:
        reference: a run, or its folder.
        *others: those to compare with it.
        rule: whose verdicts count.
        allowed: what they may differ in: "task", "version", "questions".

    Raises:
        DataError: a folder is no readable run.
        EvalkitError: the runs cannot be paired; a line for each reason.
    """
    from evalkit.analysis.compare import compare as compared
    from evalkit.cli._remote import run_without_images

    return compared([run_without_images(os.fspath(one)) for one in (reference, *others)], rule, allowed)


def _option(name: str, kind: Any, value: Any) -> Any:
    """The value of an option of `evalkit run`, held to the same bounds.

    Args:
        name: the option's.
        kind: its type, with what the command line says of it.
        value: as the caller gives it.

    Raises:
        EvalkitError: it is of another type, or out of bounds.
    """
    plain, about = get_args(kind) if get_origin(kind) is Annotated else (kind, None)
    parser = getattr(about, "parser", None)
    if parser is not None and isinstance(value, str | Path):
        # an address in object storage becomes a folder here
        value = parser(value)
    try:
        read = _as(plain, value)
    except (msgspec.ValidationError, TypeError) as error:
        raise EvalkitError(f"option {name} is {one_line(repr(value), 80)}: {one_line(error, 200)}") from None
    if isinstance(read, int | float):
        low, high = getattr(about, "min", None), getattr(about, "max", None)
        if not ((low is None or read >= low) and (high is None or read <= high)):
            bounds = " and ".join(
                f"{word} {bound}" for word, bound in (("at least", low), ("at most", high)) if bound is not None
            )
            raise EvalkitError(f"option {name} is {one_line(value, 80)}; it must be {bounds}")
    return read


def _as(kind: Any, value: Any) -> Any:
    """A value as the command line would have read it: a path or a rule from its text, one in place of a list of one."""
    kinds = (kind, *get_args(kind))
    if isinstance(value, str | Path) and any(get_origin(each) is list for each in kinds):
        value = [value]
    elif isinstance(value, Path) and str in kinds:
        value = str(value)
    return msgspec.convert(value, kind, dec_hook=lambda custom, given: custom(given))


def _hook(hook: Any) -> Any:
    """A hook that can be told of something.

    Raises:
        EvalkitError: it has none of the methods, or is a class.
    """
    if isinstance(hook, type):
        raise EvalkitError(f"hooks has the class {hook.__name__}; give one made of it: {hook.__name__}()")
    methods = ("on_run_start", "on_sample_end", "on_run_end", "close")
    if not any(hasattr(hook, method) for method in methods):
        raise EvalkitError(f"hooks has {one_line(repr(hook), 80)}, which has none of {', '.join(methods)}")
    return hook


def _apart(work: Callable[[], T], interrupted: Callable[[], None]) -> T:
    """`work()`, in a thread of its own where an event loop runs in this one."""
    try:
        asyncio.get_running_loop()
        running = True
    except RuntimeError:
        running = False
    # not in the handler: a failure would look as if that exception had led to it
    if not running:
        return work()
    made: list[T] = []
    failed: list[BaseException] = []

    def target() -> None:
        try:
            made.append(work())
        except BaseException as error:
            # raised again where it is waited for
            failed.append(error)

    thread = threading.Thread(target=target, name="evalkit-run")
    thread.start()
    while thread.is_alive():
        try:
            thread.join()
        except KeyboardInterrupt:
            interrupted()
    if failed:
        raise failed[0]
    return made[0]
