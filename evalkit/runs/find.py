"""Run folders among what a user names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from evalkit.runs.folder import INFO, SAMPLES

Mark = tuple[tuple[int, int] | None, ...]
"""Sizes and times of a run's files."""


def run_folders(named: Iterable[Path]) -> list[Path]:
    """Each run folder named, or standing in a folder named, once and in order.

    What is neither stays in the list: whoever reads it says why it is no run.
    """
    found: dict[str, Path] = {}
    for path in named:
        inside = [] if is_run(path) else runs_in(path)
        for folder in inside or [path]:
            found.setdefault(os.path.realpath(folder), folder)
    return list(found.values())


def runs_in(folder: Path) -> list[Path]:
    """The run folders that stand in a folder, by name; none where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return []
    return [folder / name for name in names if is_run(folder / name)]


def is_run(folder: Path) -> bool:
    """Whether it has one of the two files of a run, readable or not."""
    return any((folder / name).is_file() for name in (INFO, SAMPLES))


def mark_of(folder: Path) -> Mark:
    """What tells whether a run folder has changed, without reading it."""
    return tuple(_stat(folder / name) for name in (INFO, SAMPLES))


def _stat(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
