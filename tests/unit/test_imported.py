"""Recordings become run folders that say whose verdicts they hold."""

from __future__ import annotations

from pathlib import Path

import msgspec

from evalkit import Verdict
from evalkit.bridges.imported import Imported, write_imported
from evalkit.recorded import recorded_outcome
from evalkit.runs.store import read_records
from tests.run_folders import row


def test_another_mark_decides_and_is_named_as_what_gave_the_verdicts(tmp_path: Path) -> None:
    base = row(1)
    outcome = recorded_outcome(base.trajectory, {"exact": 0, "judge": 1}, "exact", "inspect/exact")
    assert outcome.verdict is Verdict.INCORRECT
    recording = Imported(
        format="inspect",
        task="demo",
        model="m",
        score="exact",
        scorer="inspect/exact",
        records=[msgspec.structs.replace(base, outcome=outcome)],
    )
    folder, info, _ = write_imported(tmp_path, recording, [], score="judge")
    (record,) = read_records(folder)
    assert (record.outcome.verdict, record.outcome.scorer) == (Verdict.CORRECT, "inspect/judge")
    assert "the recording's own word (inspect/judge), by its score judge" in " ".join(info.notes)
