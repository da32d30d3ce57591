"""Which lmms-eval is used: the interpreter that has it, its version, and where its tasks lie; nothing is imported."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from evalkit.errors import EvalkitError, one_line

PYTHON = "EVALKIT_LMMS_PYTHON"
"""Environment variable: the Python that has lmms-eval, where this one has it not."""
INCLUDE = "EVALKIT_LMMS_INCLUDE"
"""Environment variable: folders with further lmms-eval tasks, as for its own `--include_path`."""
SPOKEN = "0.7"
"""The lmms-eval that evalkit knows, by its first two numbers."""
_INSTALL = "pip install 'lmms-eval>=0.7.3,<0.8'"
_PROBE = """
import importlib.metadata, importlib.util, json
try:
    version = importlib.metadata.version("lmms-eval")
    folders = list(importlib.util.find_spec("lmms_eval").submodule_search_locations)
    print(json.dumps([version, folders[0]]))
except (ImportError, AttributeError):
    print("null")
"""


class Install(msgspec.Struct, frozen=True):
    """An lmms-eval that can be used.

    Attributes:
        python: the interpreter.
        version: of lmms-eval.
        folder: of its package.
        include: further folders with tasks.
    """

    python: str
    version: str
    folder: Path
    include: tuple[Path, ...] = ()


def installed() -> Install:
    """The lmms-eval of `EVALKIT_LMMS_PYTHON`, else of this interpreter.

    Raises:
        EvalkitError: there is none, or it is of a version that evalkit does not know.
    """
    python = os.environ.get(PYTHON, "") or sys.executable
    found = _own() if python == sys.executable else _asked(python)
    if found is None:
        where = f"{python} has no lmms-eval" if python != sys.executable else "lmms-eval is not installed"
        raise EvalkitError(f"{where}: {_INSTALL} (or set {PYTHON} to a Python that has it)")
    version, folder = found
    if ".".join(version.split(".")[:2]) != SPOKEN:
        raise EvalkitError(f"lmms-eval {one_line(version, 20)} is installed; evalkit speaks {SPOKEN}: {_INSTALL}")
    include = tuple(Path(part).resolve() for part in os.environ.get(INCLUDE, "").split(os.pathsep) if part)
    for path in include:
        if not path.is_dir():
            raise EvalkitError(f"{INCLUDE} names {one_line(path, 200)}, which is no folder")
    return Install(python, version, Path(folder), include)


def _own() -> tuple[str, str] | None:
    try:
        version = importlib.metadata.version("lmms-eval")
        spec = importlib.util.find_spec("lmms_eval")
    except ImportError:
        return None
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return (version, folders[0]) if folders else None


@functools.cache
def _asked(python: str) -> tuple[str, str] | None:
    try:
        done = subprocess.run([python, "-c", _PROBE], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EvalkitError(f"{PYTHON}={one_line(python, 200)} cannot be started: {one_line(error, 120)}") from None
    if done.returncode != 0:
        raise EvalkitError(f"{PYTHON}={one_line(python, 200)} is no Python: {one_line(done.stderr[-200:])}")
    found = json.loads(done.stdout)
    return None if found is None else (str(found[0]), str(found[1]))
