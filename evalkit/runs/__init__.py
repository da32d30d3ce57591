"""Runs: the resolved plan, the trajectories in flight, and the folder they are recorded in."""

from evalkit.runs.folder import RunInfo, Session, find_run, new_run_folder
from evalkit.runs.plan import config_hash, differences
from evalkit.runs.store import RunStore

__all__ = ["RunInfo", "RunStore", "Session", "config_hash", "differences", "find_run", "new_run_folder"]
