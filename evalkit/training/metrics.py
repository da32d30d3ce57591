"""Where a training's figures go: a file of lines, TensorBoard, Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from evalkit.errors import DataError, EvalkitError, one_line
from evalkit.runs.append import AppendFile
from evalkit.runs.folder import write_whole
from evalkit.runs.plan import config_hash
from evalkit.training.figures import StepFigures

METRICS = "metrics.jsonl"
_BOARD = "tensorboard"


class Metrics:
    """Takes each step's figures as they come.

    Args:
        out: folder of the training.
        step: steps that are behind; figures of later ones, from a start that was killed, are taken back.
        wandb: project at Weights & Biases; "" for none.
        config: what it is told of the training.

    Raises:
        EvalkitError: wandb is asked for and not installed, or it refuses.
        InfrastructureError: the folder cannot be written, or another process is training in it.
    """

    def __init__(self, out: Path, step: int, wandb: str = "", config: Mapping[str, Any] | None = None) -> None:
        # to see whether another process has it, before anything is taken back
        AppendFile(out / METRICS).close()
        kept = [figures for figures in read_metrics(out) if figures.step <= step]
        write_whole(out / METRICS, b"".join(msgspec.json.encode(figures) + b"\n" for figures in kept))
        self._lines = AppendFile(out / METRICS)
        self._board: Any = None
        if find_spec("tensorboard"):
            writer: Any = import_module("torch.utils.tensorboard").SummaryWriter
            self._board = writer(str(out / _BOARD), purge_step=step + 1)
        self._run: Any = _wandb(wandb, out, dict(config or {})) if wandb else None

    def __enter__(self) -> Metrics:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        if self._board is not None:
            self._board.close()
        if self._run is not None:
            self._run.finish()

    def add(self, figures: StepFigures) -> None:
        """Note a step.

        Raises:
            InfrastructureError: the disk is full.
        """
        self._lines.append(msgspec.json.encode(figures) + b"\n")
        scalars = figures.scalars()
        step = int(scalars.pop("step"))
        if self._board is not None:
            for name, value in scalars.items():
                self._board.add_scalar(name, value, step)
        if self._run is not None:
            self._run.log(scalars, step=step)


def read_metrics(out: Path) -> list[StepFigures]:
    """The figures of a training's steps; a torn last line is left out.

    Raises:
        DataError: a line is damaged; the message names it.
    """
    file = out / METRICS
    try:
        lines = file.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error
    found = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            found.append(msgspec.json.decode(line, type=StepFigures))
        except msgspec.MsgspecError as error:
            raise DataError(f"{file} line {number} is corrupt ({one_line(error, 120)})") from error
    return found


def _wandb(project: str, out: Path, config: dict[str, Any]) -> Any:
    try:
        import wandb
    except ModuleNotFoundError as error:
        raise EvalkitError("--wandb needs wandb: pip install wandb") from error
    try:
        own = f"{out.name}-{config_hash(config)[:8]}"
        return wandb.init(project=project, name=out.name, id=own, resume="allow", dir=str(out), config=config)
    except Exception as error:
        raise EvalkitError(f"--wandb {project}: {one_line(error)}") from error
