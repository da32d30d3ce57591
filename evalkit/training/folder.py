"""A training's folder: what it is (`train.json`), and whether another start may go on in it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import msgspec

from evalkit.errors import DataError, EvalkitError, InfrastructureError, one_line
from evalkit.models import ModelCard
from evalkit.runs.environment import environment
from evalkit.runs.folder import write_whole
from evalkit.runs.plan import config_hash, differences
from evalkit.training.config import RUNNING, TrainSettings
from evalkit.training.metrics import METRICS
from evalkit.version import __version__

INFO = "train.json"
CHECKPOINTS = "checkpoints"
CARD = "card.yaml"
MODEL = "model"


class Start(msgspec.Struct, kw_only=True):
    """One start of a training: where and how it went on.

    Attributes:
        started: UTC, ISO 8601.
        steps: steps that it was to reach in all.
        device: as torch names it.
        processes: that trained together.
        environment: machine and versions.
    """

    started: str
    steps: int
    device: str
    processes: int = 1
    environment: dict[str, Any] = {}


class TrainInfo(msgspec.Struct, kw_only=True):
    """The contents of `train.json`.

    Attributes:
        evalkit: version that began the training.
        created: UTC, ISO 8601.
        config: the recipe: method, settings, model and data; see `recipe`.
        config_hash: its digest.
        notes: what a reader must know, e.g. how many recorded trajectories were left out and why.
        starts: every start, in order.
    """

    evalkit: str
    created: str
    config: dict[str, Any]
    config_hash: str
    notes: list[str] = []
    starts: list[Start] = []


def recipe(settings: TrainSettings, model: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """What tells a training from another one: all that changes what it learns, and not how long.

    Args:
        settings: of the training.
        model: where it begins, and how it is asked.
        data: what it learns from.
    """
    chosen = {name: value for name, value in msgspec.to_builtins(settings).items() if name not in RUNNING}
    return {"settings": chosen, "model": model, "data": data}


def check_out(out: Path, config: dict[str, Any], unknown: str = "") -> None:
    """Refuse a place where this training cannot be; nothing is written.

    Args:
        out: folder of the training.
        config: from `recipe`.
        unknown: part of it that is not known yet, e.g. "data.judge".

    Raises:
        EvalkitError: it holds a training by another recipe, or something else.
        InfrastructureError: it cannot be written.
    """
    near = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not near.is_dir():
        raise EvalkitError(f"{near} is a file: name another --out")
    if not os.access(near, os.W_OK):
        raise InfrastructureError(f"cannot write into {near}: choose another --out")
    if (out / INFO).is_file():
        # as the file has it: lists for tuples
        now = msgspec.json.decode(msgspec.json.encode(config))
        changed = differences(read_train_info(out).config, now)
        changed = [line for line in changed if not (unknown and line.startswith(f"{unknown}."))]
        if changed:
            said = one_line("; ".join(changed), 1000)
            raise EvalkitError(
                f"{out} holds a training by another recipe ({said}); name another --out, or make the settings equal"
            )
    elif (out / METRICS).exists() or (out / CHECKPOINTS).exists():
        raise EvalkitError(f"{out} has a training's files and no {INFO}: whose are they? Name another --out")


def enter(out: Path, config: dict[str, Any], start: Start, notes: list[str]) -> TrainInfo:
    """Make the folder, or go on in the one that is there.

    Args:
        out: the folder.
        config: from `recipe`.
        start: this one.
        notes: of this training.

    Raises:
        EvalkitError: it holds a training by another recipe, or something else.
        InfrastructureError: it cannot be made or written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InfrastructureError(f"cannot make {out}: {error.strerror}; choose another --out") from error
    check_out(out, config)
    if (out / INFO).is_file():
        info = read_train_info(out)
    else:
        info = TrainInfo(evalkit=__version__, created=start.started, config=config, config_hash=config_hash(config))
    info.notes = notes
    info.starts.append(start)
    write_whole(out / INFO, msgspec.json.format(msgspec.json.encode(info), indent=2))
    return info


def read_train_info(out: Path) -> TrainInfo:
    """The training's `train.json`.

    Raises:
        DataError: there is none, or it is damaged.
    """
    file = out / INFO
    try:
        return msgspec.json.decode(file.read_bytes(), type=TrainInfo)
    except FileNotFoundError:
        raise DataError(f"{out} is not a training's folder: it has no {INFO}") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise DataError(f"cannot read {file}: {one_line(error)}") from error


def this_start(steps: int, device: str, processes: int) -> Start:
    """The start of now; see `Start`."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Start(started=now, steps=steps, device=device, processes=processes, environment=environment())


def write_card(out: Path, card: ModelCard) -> None:
    """Write a model card for the trained model beside it, so that `evalkit run --model OUT/card.yaml` takes it."""
    import yaml

    weights = {"folder": MODEL, "dtype": "float32"}
    own = {
        "name": out.resolve().name,
        "summary": one_line(f"{card.name}, trained by evalkit train"),
        "engine": "transformers",
        "protocol": card.protocol,
        "tools": None if card.tools is None else list(card.tools),
        "weights": weights,
        "limits": msgspec.to_builtins(card.limits),
        "sampling": msgspec.to_builtins(card.sampling),
        "pixels": msgspec.to_builtins(card.pixels),
        "transformers": msgspec.to_builtins(card.transformers),
    }
    write_whole(out / CARD, yaml.safe_dump(own, sort_keys=False, allow_unicode=True).encode())
