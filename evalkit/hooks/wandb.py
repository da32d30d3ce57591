"""A run in Weights & Biases: its settings as config, its figures as summary, its report and summary as an artifact.

Who and where say W&B's own variables (WANDB_API_KEY, WANDB_MODE, WANDB_ENTITY), the project WANDB_PROJECT (else
"evalkit"). Neither prompts, responses, images, code nor git state are sent, but the ids of samples in the report.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.hooks.base import Hook
from evalkit.hooks.figures import SoFar, figures_of, settings_of
from evalkit.records import Record
from evalkit.runs.folder import REPORT, SUMMARY

if TYPE_CHECKING:
    from evalkit.analysis import Summary
    from evalkit.runs.folder import RunInfo

PROJECT = "evalkit"
_NO_NAME = re.compile(r"[^\w\-.]+")


class WandbHook(Hook):
    """One W&B run for each run folder's start."""

    name = "wandb"

    def __init__(self) -> None:
        self._run: Any = None
        self._so_far = SoFar()

    def on_run_start(self, info: RunInfo, folder: Path) -> None:
        """Make the W&B run, with the settings."""
        import wandb

        # one whose end could not be logged
        self.close()
        self._so_far = SoFar()
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            name=folder.name,
            job_type="evaluation",
            config=settings_of(info),
            tags=[str(info.config["task"]["name"])[:64]],
            settings=_settings(wandb),
        )

    def on_sample_end(self, record: Record) -> None:
        """Count, and say once a second how it goes."""
        if (figures := self._so_far.add(record)) and self._run is not None:
            self._run.log(figures, step=self._so_far.done)

    def on_run_end(self, summary: Summary, folder: Path) -> None:
        """Log the figures and the report."""
        if self._run is None:
            return
        self._run.summary.update(figures_of(summary))
        import wandb

        # an artifact is a copy: a file that is saved is a link, and the folder may be moved before it is synced
        made = wandb.Artifact(_NO_NAME.sub("-", folder.name)[:120], type="evaluation")
        for name in (SUMMARY, REPORT):
            made.add_file(str(folder / name), name=name)
        self._run.log_artifact(made)
        self._finish(0)

    def close(self) -> None:
        """End a run that was broken off."""
        self._finish(1)

    def _finish(self, code: int) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.finish(exit_code=code)


def _settings(wandb: Any) -> Any:
    """Nothing is sent that evalkit has not named: the command line can hold a password, a checkout anything.

    A run that the caller's own program has open stays open, and gets none of it.
    """
    return wandb.Settings(
        reinit="create_new",
        silent=True,
        console="off",
        disable_git=True,
        save_code=False,
        disable_code=True,
        x_disable_meta=True,
        x_save_requirements=False,
    )
