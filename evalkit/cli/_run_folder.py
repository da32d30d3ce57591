"""Which folder a run goes to."""

from __future__ import annotations

from pathlib import Path

from evalkit.errors import EvalkitError, InfrastructureError
from evalkit.runs.folder import INFO, SAMPLES, RunInfo, find_run, new_run_folder, read_info
from evalkit.runs.imported import IMPORTED, PREDICTIONS
from evalkit.runs.plan import differences
from evalkit.runs.remote.address import shown


def folder_for(info: RunInfo, out: Path, named: Path | None, *, fresh: bool) -> Path:
    """The run folder: the one named, an earlier one with this configuration, or a new one.

    Args:
        info: what is to run.
        out: folder of run folders.
        named: the folder that the user names; None to find one or make one.
        fresh: whether an earlier one will not do.

    Raises:
        EvalkitError: the folder named holds a run of another configuration, or another shard of it.
    """
    model, task = info.config["model"]["name"], info.config["task"]["name"]
    if named is None:
        earlier = None if fresh else find_run(out, model, task, info.config_hash, info.shard)
        return earlier or new_run_folder(out, model, task, info.shard)
    if (named / INFO).is_file():
        if fresh:
            raise EvalkitError(f"--fresh: {shown(named)} holds a run already; name another --run-dir")
        other = read_info(named)
        if other.config.get("engine") in (IMPORTED, PREDICTIONS):
            raise EvalkitError(f"{shown(named)} holds results that were made elsewhere; name another --run-dir")
        if other.config_hash != info.config_hash:
            changed = "; ".join(differences(other.config, info.config))
            raise EvalkitError(
                f"{shown(named)} holds a run of another configuration ({changed}); "
                "name another --run-dir, or make the settings equal"
            )
        if other.shard != info.shard:
            parts = [f"shard {part}" if part else "the whole run" for part in (other.shard, info.shard)]
            raise EvalkitError(f"{shown(named)} holds {parts[0]}, and {parts[1]} is asked for; name another --run-dir")
        return named
    if (named / SAMPLES).is_file() and (named / SAMPLES).stat().st_size:
        raise EvalkitError(f"{shown(named)} has a {SAMPLES} and no {INFO}: whose rows are they? Name another --run-dir")
    try:
        named.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InfrastructureError(f"cannot make {named}: {error.strerror}; name another --run-dir") from error
    return named
