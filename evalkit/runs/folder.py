"""A run's folder: its name, its `run.json`, and how an earlier run is found again."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec

from evalkit.calibration import Calibration
from evalkit.errors import DataError, InfrastructureError, one_line
from evalkit.records import Prices
from evalkit.runs.arms import Arms
from evalkit.runs.looks import EarlyStop
from evalkit.runs.shard import Shard

INFO = "run.json"
SAMPLES = "samples.jsonl"
IMAGES = "images"
SUMMARY = "summary.json"
REPORT = "report.md"


class Session(msgspec.Struct, kw_only=True):
    """One start of a run: where and how it went on. None of it changes what was asked.

    Attributes:
        started: UTC, ISO 8601.
        concurrency: trajectories in flight; None where they were made elsewhere.
        engine: what the engine said at start.
        sandbox: tier, isolation and limits.
        environment: machine and versions.
        notes: what a reader must know, e.g. that code ran without isolation.
        arms: what was asked beside the agent's own run.
    """

    started: str
    concurrency: int | None
    engine: dict[str, Any] = {}
    sandbox: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    notes: list[str] = []
    arms: Arms = Arms()


class RunInfo(msgspec.Struct, kw_only=True):
    """The contents of `run.json`.

    Attributes:
        evalkit: version that made the run.
        created: UTC, ISO 8601.
        config: see `evalkit.runs.plan`.
        config_hash: its digest.
        expected_rows: rows of the benchmark as configured: the denominator of every "all rows" figure.
        system_prompt: as sent.
        sessions: every start that ran trajectories, in order.
        prices: of tokens, where the user has given them.
        early_stop: the rules under which it may stop before all rows are in; None without any.
        judge: how often the configuration's judge was asked when it was last used, and where it is.
        calibration: how often that judge errs, where the user has measured it.
        shard: the part of the rows that this folder is to have; None for all.
        merged: how many shards it was made of; 0 for a run that had none.
    """

    evalkit: str
    created: str
    config: dict[str, Any]
    config_hash: str
    expected_rows: Annotated[int, msgspec.Meta(ge=0)]
    system_prompt: str = ""
    sessions: list[Session] = []
    prices: Prices | None = None
    early_stop: EarlyStop | None = None
    judge: dict[str, Any] = {}
    calibration: Calibration | None = None
    shard: Shard | None = None
    merged: int = 0

    @property
    def notes(self) -> list[str]:
        """The notes of all sessions, each once; whether it is a part, a judge had a word, it was stopped early."""
        notes = list(dict.fromkeys(note for session in self.sessions for note in session.notes))
        if isinstance(judge := self.config.get("judge"), dict):
            notes.append(f"answers that the rules could not settle went to a judge: {one_line(judge.get('model'), 80)}")
        if self.shard is not None:
            notes.insert(0, self.shard.note(self.expected_rows))
        if self.merged:
            notes.append(f"merged from {self.merged} shards, each run by a command of its own")
        return [*notes, self.early_stop.note] if self.early_stop and self.early_stop.note else notes

    @property
    def due_rows(self) -> int:
        """Rows that the run should have: all expected ones, its shard's, or those until it was stopped by design."""
        if self.shard is not None:
            return self.shard.rows(self.expected_rows)
        stopped = self.early_stop.stopped_after if self.early_stop else None
        return self.expected_rows if stopped is None else stopped

    @property
    def drawn_apart(self) -> bool:
        """Whether the further draws without tools have a temperature of their own; see `analysis.pairs.pair_up`."""
        # the last start that asked for several direct answers says how they were drawn
        drawn = [session.arms for session in self.sessions if session.arms.direct_runs > 1]
        return bool(drawn) and drawn[-1].direct_temperature is not None


def read_info(folder: Path) -> RunInfo:
    """The run's `run.json`.

    Raises:
        DataError: the folder is not a run folder, or the file is damaged.
    """
    file = folder / INFO
    try:
        info = msgspec.json.decode(file.read_bytes(), type=RunInfo)
    except FileNotFoundError:
        raise DataError(f"{folder} is not a run folder: it has no {INFO}") from None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {file}: {one_line(error)}") from error
    for part in ("task", "model"):
        named = info.config.get(part)
        if not isinstance(named, dict) or not isinstance(named.get("name"), str):
            raise DataError(
                f"cannot read {file}: its config names no {part}; it was not written by evalkit, or damaged"
            )
    return info


def write_info(folder: Path, info: RunInfo) -> None:
    """Write `run.json`, whole or not at all."""
    write_whole(folder / INFO, msgspec.json.format(msgspec.json.encode(info), indent=2))


def write_whole(file: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part.

    Raises:
        InfrastructureError: the disk is full, or the place is not writable.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        part.write_bytes(data)
        part.replace(file)
    except OSError as error:
        # a disk that has become read-only does not even let go of it
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise InfrastructureError(f"cannot write {file}: {error.strerror}; free space or choose --out") from error


_PART = re.compile(r"\.(?!lock\b).+\.(\d+)")


def remove_parts(folder: Path) -> None:
    """Remove what killed processes of this machine left of files that `write_whole` had not finished."""
    with contextlib.suppress(OSError):
        for part in folder.iterdir():
            if (found := _PART.fullmatch(part.name)) and not _lives(int(found[1])):
                part.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def new_run_folder(out: Path, model: str, task: str, shard: Shard | None = None) -> Path:
    """A new folder `<model>__<task>__<UTC time>` under `out`; that of a shard has `__shard-<i>-of-<n>` in the end.

    Raises:
        InfrastructureError: it cannot be made.
    """
    stem = f"{_slug(model)}__{_slug(task)}__{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    stem += f"__shard-{shard.index}-of-{shard.count}" if shard else ""
    for attempt in range(1, 1000):
        folder = out / (stem if attempt == 1 else f"{stem}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise InfrastructureError(f"cannot make {folder}: {error.strerror}; choose another --out") from error
        return folder
    raise InfrastructureError(f"no free name for a run folder in {out}")


def find_run(out: Path, model: str, task: str, digest: str, shard: Shard | None = None) -> Path | None:
    """The newest run of `model` on `task` under `out` with this configuration and shard, None when there is none."""
    for folder in sorted(out.glob(f"{_slug(model)}__{_slug(task)}__*"), reverse=True):
        try:
            info = read_info(folder)
        except DataError:
            continue
        if (info.config_hash, info.shard) == (digest, shard):
            return folder
    return None


def _slug(name: str) -> str:
    # two of them and a time must be a file's name on any disk
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip("-.")[:100] or "unnamed"
