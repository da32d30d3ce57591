"""A run in MLflow: its settings as parameters, its figures as metrics, its report and summary as artifacts.

Where the server is says MLflow's own variable MLFLOW_TRACKING_URI, the experiment MLFLOW_EXPERIMENT_NAME (else
"evalkit"). Neither prompts, responses nor images are sent, but the ids of samples in the report.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import one_line
from evalkit.hooks.base import Hook
from evalkit.hooks.figures import SoFar, figures_of, settings_of
from evalkit.records import Record
from evalkit.runs.folder import REPORT, SUMMARY

if TYPE_CHECKING:
    from evalkit.analysis import Summary
    from evalkit.runs.folder import RunInfo

EXPERIMENT = "evalkit"
LONGEST_VALUE = 500
"""Characters of a parameter, for servers of every version."""
_BATCH = 100
_NO_NAME = re.compile(r"[^\w\-./ ]+")


class MlflowHook(Hook):
    """One MLflow run for each run folder's start."""

    name = "mlflow"

    def __init__(self) -> None:
        self._client: Any = None
        self._run = ""
        self._so_far = SoFar()

    def on_run_start(self, info: RunInfo, folder: Path) -> None:
        """Make the MLflow run, with the settings."""
        from mlflow import MlflowClient

        # one whose end could not be logged
        self.close()
        self._client, self._so_far = MlflowClient(), SoFar()
        id = self._experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT)
        task, model = info.config["task"]["name"], info.config["model"]["name"]
        tags = {"evalkit.task": str(task), "evalkit.model": str(model), "evalkit.config_hash": info.config_hash}
        self._run = self._client.create_run(id, run_name=folder.name, tags=tags).info.run_id
        self._params(settings_of(info))

    def on_sample_end(self, record: Record) -> None:
        """Count, and say once a second how it goes."""
        if (figures := self._so_far.add(record)) and self._run:
            self._metrics(figures, self._so_far.done)

    def on_run_end(self, summary: Summary, folder: Path) -> None:
        """Log the figures and the report."""
        if not self._run:
            return
        self._metrics(figures_of(summary), self._so_far.done)
        for name in (SUMMARY, REPORT):
            self._client.log_artifact(self._run, str(folder / name))
        self._end("FINISHED")

    def close(self) -> None:
        """End a run that was broken off."""
        self._end("KILLED")

    def _experiment(self, name: str) -> str:
        from mlflow import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException:
                # another run has made it in between, or it cannot be made
                if (found := self._client.get_experiment_by_name(name)) is None:
                    raise
        return str(found.experiment_id)

    def _end(self, status: str) -> None:
        run, self._run = self._run, ""
        if run:
            self._client.set_terminated(run, status=status)

    def _params(self, settings: dict[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(_name(key), one_line(value, LONGEST_VALUE)) for key, value in settings.items()]
        for start in range(0, len(params), _BATCH):
            self._client.log_batch(self._run, params=params[start : start + _BATCH])

    def _metrics(self, figures: dict[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(_name(key), value, now, step) for key, value in figures.items()]
        for start in range(0, len(metrics), _BATCH):
            self._client.log_batch(self._run, metrics=metrics[start : start + _BATCH])


def _name(text: str) -> str:
    """A name that MLflow takes, which is no odd path: a task's own figures and categories may be called anything."""
    parts = (_NO_NAME.sub("_", part) for part in text[:250].split("/"))
    return "/".join("_" if part.strip(".") == "" else part for part in parts)
