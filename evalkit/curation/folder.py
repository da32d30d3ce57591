"""The folder that a curation writes into, checked before any work is done for it."""

from __future__ import annotations

import os
from pathlib import Path

from evalkit.errors import EvalkitError
from evalkit.runs.find import is_run


def check_out(out: Path) -> None:
    """Check that a folder is new or empty, can be made, and is in no run's own folder.

    Raises:
        EvalkitError: it is not so.
    """
    try:
        if os.path.lexists(out) and (not out.is_dir() or any(out.iterdir())):
            raise EvalkitError(f"{out} is there already and not empty; name another --out")
    except OSError as error:
        raise EvalkitError(f"cannot use {out}: {error.strerror}; name another --out") from error
    whole = out.resolve()
    if run := next((folder for folder in whole.parents if is_run(folder)), None):
        raise EvalkitError(f"{out} is inside the run folder {run}, which only its run writes to; name another --out")
    there = next(folder for folder in (whole, *whole.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise EvalkitError(f"cannot make {out}: {there} is no folder that can be written to; name another --out")
