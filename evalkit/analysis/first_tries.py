"""The agent's first try on each sample, and what its turns used up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.analysis.figure import codes_of
from evalkit.analysis.rollout import Rollout
from evalkit.records import AGENT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evalkit.analysis.figure import Codes

    Floats = NDArray[np.float64]

LARGEST = 1e100
"""What is larger is no measurement."""


class Row(NamedTuple):
    """The agent's first try on one sample."""

    one: Rollout
    record: Any


class Part(NamedTuple):
    """Some of the rows.

    Attributes:
        rows: in the order of the run.
        places: of them among all, shape (n,).
        codes: equal for rows that belong together, shape (n,).
    """

    rows: list[Row]
    places: Codes
    codes: Codes


class Kinds(NamedTuple):
    """Rows by what can be said of them.

    Attributes:
        all: every row.
        scored: those without an error.
        known: those of the scored ones whose trajectory is known whole.
        sums: what their turns used, shape (all rows,); NaN where a turn's part is not known.
    """

    all: Part
    scored: Part
    known: Part
    sums: dict[str, Floats]

    def of(self, part: Part, name: str) -> Floats:
        """One of the sums, of these rows."""
        return self.sums[name][part.places]


def kinds_of(records: Sequence[Any], rollouts: Sequence[Rollout]) -> Kinds:
    """The agent's first tries.

    Args:
        records: `Record` or `LightRecord`, one per key.
        rollouts: of these records, in the same order.
    """
    rows = [
        Row(one, record) for record, one in zip(records, rollouts, strict=True) if one.arm == AGENT and one.repeat == 0
    ]
    codes = codes_of([row.one.cluster for row in rows])
    scored = [place for place, row in enumerate(rows) if not row.one.error]
    known = [place for place in scored if rows[place].one.calls is not None]
    return Kinds(
        all=_part(rows, range(len(rows)), codes),
        scored=_part(rows, scored, codes),
        known=_part(rows, known, codes),
        sums=_sums([row.record.trajectory.turns for row in rows]),
    )


def _part(rows: Sequence[Row], places: Sequence[int], codes: Codes) -> Part:
    import numpy as np

    chosen = np.asarray(places, dtype=np.int64)
    return Part([rows[place] for place in places], chosen, codes[chosen])


def _sums(trajectories: Sequence[Sequence[Any]]) -> dict[str, Floats]:
    """What each trajectory's turns used; of one without turns no time is known."""
    import numpy as np

    turns = [turn for trajectory in trajectories for turn in trajectory]
    lengths = np.asarray([len(trajectory) for trajectory in trajectories], dtype=np.int64)
    row = np.repeat(np.arange(len(lengths)), lengths)
    usage, timing = [turn.usage for turn in turns], [turn.timing for turn in turns]

    def summed(values: list[float | None]) -> Floats:
        # None becomes NaN, and a sum with it too
        return np.bincount(row, np.asarray(values, dtype=np.float64), len(lengths)).astype(np.float64)

    found = {
        "prompt_tokens": summed([part.prompt_tokens for part in usage]),
        "completion_tokens": summed([part.completion_tokens for part in usage]),
        "image_tokens": summed([part.image_tokens for part in usage]),
    }
    times = {
        "generate_s": summed([part.generate_s for part in timing]),
        "tool_s": summed([part.tool_s for part in timing]),
        "queue_s": summed([part.queue_s for part in timing]),
    }
    for values in times.values():
        values[lengths == 0] = np.nan
    return found | times
