"""The verdicts that an imported recording brings, beside evalkit's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from evalkit.analysis.shares import Share, clustered_share, clusters_of
from evalkit.records import Rule


class RecordedVerdicts(msgspec.Struct, frozen=True, kw_only=True):
    """How a recording's verdicts compare with evalkit's.

    Attributes:
        n: rows with a recorded verdict.
        right: those the recording has as right.
        accuracy: their share.
        compared: rows with both verdicts: errors have none of evalkit's.
        only_here: right by evalkit and wrong in the recording.
        only_there: right in the recording and not by evalkit.
        differing: ids of the rows in which the two differ, in order.
    """

    n: int
    right: int
    accuracy: Share
    compared: int
    only_here: int
    only_there: int
    differing: tuple[str, ...] = ()

    @property
    def agree(self) -> int:
        """Rows in which both say the same."""
        return self.compared - self.only_here - self.only_there


def recorded_verdicts(records: Sequence[Any], rule: Rule) -> RecordedVerdicts | None:
    """The comparison over one arm's records; None where no row has a recorded verdict.

    Args:
        records: `Record` or `Case`, one per sample.
        rule: whose verdicts stand for evalkit's.
    """
    known = [record for record in records if record.outcome.recorded is not None]
    if not known:
        return None
    both = [record for record in known if not record.outcome.verdict.is_error]
    differing = [record for record in both if record.outcome.right(rule) != record.outcome.recorded]
    here = sum(record.outcome.right(rule) for record in differing)
    return RecordedVerdicts(
        n=len(known),
        right=sum(bool(record.outcome.recorded) for record in known),
        accuracy=clustered_share([bool(record.outcome.recorded) for record in known], clusters_of(known)),
        compared=len(both),
        only_here=here,
        only_there=len(differing) - here,
        differing=tuple(record.sample.id for record in differing),
    )
