"""Two recorded DeepEyes runs on V*Bench as baseline and new run: the gate's verdict and figures, by hand.

The reference reads the logs' own verdicts. The paired table and p come from statsmodels, the interval from a score test
whose restricted likelihood is maximised numerically, Holm's adjustment from statsmodels.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import SquareTable, mcnemar
from statsmodels.stats.multitest import multipletests

from evalkit.gate import GateResult, Status, parse_rule, run_gate, save_baseline
from tests.conftest import Cli

RUNS = {"first": "ds4_bugfree/global_step_48", "second": "deepeyes_7b_rerun"}
RULES = ("accuracy:noninferior:1pt", "accuracy:min:-5pt", "tool_rate:max:+5pt", "calls:max:+0.5")


def logged(folder: Path) -> dict[str, bool]:
    """The recorded verdicts, by category and image."""
    rows = {}
    for category in ("direct_attributes", "relative_position"):
        (file,) = folder.glob(f"result_{category}_*.jsonl")
        for line in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
            rows[f"{category}/{Path(line['image']).stem}"] = line["acc"] == 1.0
    return rows


@pytest.fixture(scope="module")
def logs(shared_data: Path) -> dict[str, dict[str, bool]]:
    return {name: logged(shared_data / "vstar" / "deepeyes_logs" / folder) for name, folder in RUNS.items()}


@pytest.fixture
def runs(tmp_path: Path, shared_data: Path, cli: Cli) -> dict[str, Path]:
    made = {}
    for name, folder in RUNS.items():
        files = sorted((shared_data / "vstar" / "deepeyes_logs" / folder).glob("*.jsonl"))
        done = cli("import", "deepeyes", *files, "--task", "vstar", "--model", name, "--out", name)
        assert done.returncode == 0, done.stderr
        (made[name],) = (tmp_path / name).iterdir()
    return made


def score(new_only: int, old_only: int, n: int, difference: float) -> float:
    """Signed score statistic of the hypothesis that new - old is `difference`: its likelihood maximised by search."""
    # the share that only the old run has right is q, the share that only the new has is q + difference
    low, high = max(0.0, -difference) + 1e-12, (1 - abs(difference)) / 2 + max(0.0, -difference) - 1e-12

    def minus_likelihood(q: float) -> float:
        parts = ((new_only, q + difference), (old_only, q), (n - new_only - old_only, 1 - 2 * q - difference))
        return -sum(count * np.log(share) for count, share in parts)

    found = optimize.minimize_scalar(minus_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-13})
    q = float(found.x)
    return (new_only - old_only - n * difference) / float(np.sqrt(n * (2 * q + difference - difference**2)))


def by_hand(new_only: int, old_only: int, n: int) -> tuple[float, float]:
    """The 95 % interval of the difference."""
    z = float(scipy_stats.norm.ppf(0.975))
    ends = [
        optimize.brentq(lambda d, side=side: score(new_only, old_only, n, d) - side * z, -0.3, 0.3, xtol=1e-10)
        for side in (1, -1)
    ]
    return ends[0], ends[1]


def test_verdict_table_and_flips_are_those_by_hand(runs: dict[str, Path], logs: dict[str, dict[str, bool]]) -> None:
    first, second = logs["first"], logs["second"]
    result = run_gate(runs["second"], str(runs["first"]), [parse_rule(text) for text in RULES])
    accuracy, bounded, tools, calls, errors = result.checks

    table = Counter((first[id], second[id]) for id in first)
    rows = [[table[True, True], table[True, False]], [table[False, True], table[False, False]]]
    square = SquareTable(np.array(rows), shift_zeros=False)
    old_only, new_only = int(square.table[0, 1]), int(square.table[1, 0])
    assert (old_only, new_only) == (7, 8)
    flips = Counter(flip.direction for flip in result.flips)
    assert (flips["right -> wrong"], flips["wrong -> right"]) == (old_only, new_only)
    assert {flip.id for flip in result.flips} == {id for id in first if first[id] != second[id]}

    assert accuracy.paired == 191
    assert accuracy.baseline is not None
    assert accuracy.new is not None
    assert (accuracy.baseline.count, accuracy.new.count) == (sum(first.values()), sum(second.values())) == (169, 170)
    assert accuracy.difference is not None
    assert accuracy.difference.value == pytest.approx((new_only - old_only) / 191)
    low, high = by_hand(new_only, old_only, 191)
    assert (accuracy.difference.low, accuracy.difference.high) == pytest.approx((low, high), abs=1e-7)

    # one-sided mid-p from statsmodels' exact two-sided p, which counts the smaller tail twice
    exact = float(mcnemar(square.table, exact=True).pvalue)
    seen = float(scipy_stats.binom.pmf(old_only, old_only + new_only, 0.5))
    assert accuracy.p == pytest.approx(1 - (exact / 2 - seen / 2))
    # the interval reaches below -1 point, and nothing is lost: nobody can tell
    assert low < -0.01
    assert accuracy.status is Status.INCONCLUSIVE

    beyond = float(scipy_stats.norm.sf(-score(new_only, old_only, 191, -0.05)))
    assert bounded.p == pytest.approx(beyond, abs=1e-7)
    assert bounded.status is (Status.PASS if low >= -0.05 else Status.INCONCLUSIVE)

    assert tools.status is Status.PASS
    assert tools.difference is not None
    assert tools.difference.value == 0
    # 191 against 345 calls
    assert calls.difference is not None
    assert calls.difference.value == pytest.approx((345 - 191) / 191)
    assert calls.status is Status.FAIL
    assert errors.status is Status.PASS
    assert result.exit_code == 1

    tests = [check for check in result.checks if check.p is not None]
    adjusted = multipletests([check.p for check in tests], method="holm")[1]
    assert [check.p_adjusted for check in tests] == pytest.approx(list(adjusted))


def test_the_default_rules_cannot_tell_on_191_samples(runs: dict[str, Path]) -> None:
    result = run_gate(runs["second"], str(runs["first"]))
    assert [check.status for check in result.checks] == [Status.INCONCLUSIVE, Status.PASS, Status.PASS]
    assert result.exit_code == 4
    assert (result.checks[0].needed or 0) > 191


def test_the_archive_says_what_the_run_says(runs: dict[str, Path], tmp_path: Path) -> None:
    file = save_baseline(runs["first"], tmp_path / "first.json.gz")
    assert file.stat().st_size < 20_000

    def told(baseline: str) -> tuple[object, ...]:
        found: GateResult = run_gate(runs["second"], baseline, [parse_rule(text) for text in RULES])
        return found.checks, found.flips, found.notes, found.exit_code

    assert told(str(file)) == told(str(runs["first"]))
