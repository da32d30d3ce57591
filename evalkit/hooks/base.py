"""What a hook may do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.records import Record

if TYPE_CHECKING:
    from evalkit.analysis import Summary
    from evalkit.runs.folder import RunInfo


class Hook:
    """Told of a run by calls in this order; a hook overrides those it wants.

    All calls to a hook come from one thread that is its own: a slow hook keeps neither an engine nor another hook
    waiting, and a blocking client needs no care. With several tasks in a command the calls of one run are through
    before the next one starts, unless the hook hangs: no call is waited for longer than a minute. Where a hook falls
    far behind, it is not told of every trajectory, and the user is told of that.

    Attributes:
        name: what messages call it.
    """

    name: str = "hook"

    def on_run_start(self, info: RunInfo, folder: Path) -> None:
        """A run starts, or goes on.

        Args:
            info: what is in `run.json`: the configuration, and what the engine said.
            folder: the run folder.
        """

    def on_sample_end(self, record: Record) -> None:
        """A trajectory is scored and stored. Those of an earlier start of the run are not told again.

        Args:
            record: a copy of what stands in `samples.jsonl`; of any arm. Its images are read on `open` or `read`.
        """

    def on_run_end(self, summary: Summary, folder: Path) -> None:
        """A run is through, and its figures are made; not called for one that Ctrl-C has stopped.

        Args:
            summary: over all of its records, earlier starts' among them.
            folder: the run folder; `summary.json` and `report.md` are in it.
        """

    def close(self) -> None:
        """Nothing more comes. A run that was started and has not ended was broken off."""
