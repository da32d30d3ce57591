"""The child process: it reads requests from its standard input and answers each with a line of JSON.

Whatever lmms-eval prints goes to the log; the answers have a pipe of their own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

_CHUNK = 256
_AHEAD = 0.05
_LONG = 1.0


class Server:
    """The tasks that are loaded, by a key that the asker chooses."""

    def __init__(self) -> None:
        from .network import Watch

        self.watch = Watch()
        self.tasks: dict[str, tuple[Any, Any]] = {}

    def load(self, key: str, name: str, file: str, folder: str, data: str | None) -> dict[str, Any]:
        """Load one task with its documents; lmms-eval is imported for the first.

        Args:
            key: by which it is asked from now on.
            name: the task's.
            file: its YAML.
            folder: for files that it writes.
            data: a folder of parquet files in the place of its data set.
        """
        from .documents import Documents
        from .scoring import Scoring

        task = _task(name, file, data)
        documents, scoring = Documents(task), Scoring(task, self.watch, folder)
        self.tasks[key] = documents, scoring
        return {"rows": len(documents), "metrics": scoring.metrics, "refusal": _refusal(task, scoring)}

    def questions(self, key: str, start: int) -> dict[str, Any]:
        """Some of the documents, from one on."""
        from .documents import Unfit

        documents, _ = self.tasks[key]
        found = []
        for index in range(start, min(start + _CHUNK, len(documents))):
            try:
                found.append(documents.question(index))
            except Unfit as problem:
                raise Unfit(f"document {index}: {problem}") from None
        return {"questions": found}

    def images(self, key: str, index: int, folder: str) -> dict[str, Any]:
        """Write a document's images, and for a moment those of the next ones: they are likely to be asked for next."""
        documents, _ = self.tasks[key]
        documents.save(index, folder)
        end = time.monotonic() + _AHEAD
        for after in range(index + 1, len(documents)):
            if time.monotonic() > end:
                break
            try:
                documents.save(after, folder)
            except Exception:
                # it is told when that document is asked for
                break
        return {}

    def score(self, key: str, index: int, text: str) -> dict[str, Any]:
        """See `Scoring.score`."""
        found: dict[str, Any] = self.tasks[key][1].score(index, text)
        return found

    def scores(self, key: str, rows: list[tuple[int, str]]) -> dict[str, Any]:
        """Score responses, as many as there is time for."""
        _, scoring = self.tasks[key]
        found: list[dict[str, Any]] = []
        end = time.monotonic() + _LONG
        for index, text in rows:
            if time.monotonic() > end:
                break
            try:
                found.append(scoring.score(index, text))
            except Exception as problem:
                found.append(_failed(problem))
        return {"scores": found}

    def aggregate(self, key: str, rows: list[tuple[int, str]]) -> dict[str, Any]:
        """See `Scoring.aggregate`."""
        return {"figures": self.tasks[key][1].aggregate([(int(index), text) for index, text in rows])}


def _failed(error: BaseException) -> dict[str, Any]:
    return {"error": str(error) or type(error).__name__, "kind": type(error).__name__}


def _refusal(task: Any, scoring: Any) -> str:
    """Why a task cannot be scored row by row, from two tries on its first document."""
    from .scoring import Unscored

    values = []
    target = task.doc_to_target(scoring.docs[0])
    for text in (str(target[0] if isinstance(target, list) and target else target), "I cannot tell from this."):
        try:
            values.append(scoring.score(0, text)["value"])
        except Unscored as problem:
            if "API key" in str(problem):
                return str(problem)
        except Exception:
            # this is a look ahead: a scorer that fails says so again, and is heard, when a row is scored
            continue
    if values and all(value is None for value in values):
        return "none of its metrics has a number for a row alone, so that nothing tells right from wrong"
    return ""


def _task(name: str, file: str, data: str | None) -> Any:
    # it brings the metrics that tasks name
    import lmms_eval.tasks  # noqa: F401
    from lmms_eval.api.task import ConfigurableMessagesTask, ConfigurableTask
    from lmms_eval.utils import load_yaml_config

    config = load_yaml_config(file, mode="full")
    if data is not None:
        split = config.get("test_split") or config.get("validation_split")
        files = {"data_files": {split: _files(data, str(split))}}
        config |= {"dataset_path": "parquet", "dataset_name": None, "dataset_kwargs": files}
    _without_login(config)
    # the retries around it wait for a network that is not there
    ConfigurableTask.download = getattr(ConfigurableTask.download, "__wrapped__", ConfigurableTask.download)
    if "class" not in config:
        task = ConfigurableMessagesTask(config=config, model_name="evalkit")
    else:
        import inspect

        made = config["class"]
        task = made(config=config) if "config" in inspect.signature(made.__init__).parameters else made()
        if not hasattr(task, "doc_to_messages"):
            raise TypeError("it is a class of its own that gives no messages")
    if task.config.num_fewshot is None:
        task.set_config(key="num_fewshot", value=0)
    task.set_fewshot_seed(seed=1234)
    return task


def _without_login(config: dict[str, Any]) -> None:
    """Ask for a public data set without a login where there is none: most tasks insist on one that it does not need."""
    from huggingface_hub import get_token

    kwargs = config.get("dataset_kwargs")
    if isinstance(kwargs, dict) and kwargs.get("token") is True and get_token() is None:
        config["dataset_kwargs"] = {name: value for name, value in kwargs.items() if name != "token"}


def _files(folder: str, split: str) -> list[str]:
    """The parquet files of a split: those named after it, else all."""
    from pathlib import Path

    files = sorted(Path(folder).rglob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no .parquet file")
    mine = [file for file in files if file.name.startswith(split) or file.parent.name == split]
    return [str(file) for file in mine or files]


def serve(pipe: int) -> None:
    """Answer requests until the input ends."""
    from .scoring import as_json

    requests = os.fdopen(os.dup(0), "rb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    server = Server()
    with os.fdopen(pipe, "wb") as replies:
        for line in requests:
            name, *arguments = json.loads(line)
            try:
                reply = getattr(server, name)(*arguments)
            except BaseException as error:
                # code of a task may fail in any way, and even try to end the process
                reply = _failed(error)
            try:
                data = as_json(reply)
            except (TypeError, ValueError) as error:
                data = as_json({"error": f"its reply cannot be written: {error}", "kind": "ValueError"})
            sys.stdout.flush()
            replies.write(data)
            replies.flush()
