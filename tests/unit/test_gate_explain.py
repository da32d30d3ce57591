"""`--explain`: chances against what the gate itself says of drawn runs, and where the noise comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy.stats import binomtest

from evalkit import Verdict, stats
from evalkit.analysis.kept import Kept
from evalkit.errors import EvalkitError
from evalkit.gate.baseline import samples_of
from evalkit.gate.checks import check_of, judged
from evalkit.gate.contrasts.means import Values
from evalkit.gate.contrasts.paired import PairedShares
from evalkit.gate.explain import explain
from evalkit.gate.explained import HEADER, Explained, Explanation, explanation_rows
from evalkit.gate.noise import Noise, noise_of
from evalkit.gate.result import Status
from evalkit.gate.rules import parse_rule
from evalkit.records import AGAIN, AGENT
from tests.run_folders import row, write_run

RULES = [parse_rule("accuracy:noninferior:3pt"), parse_rule("tool_rate:max:+5pt")]


def run(place: Path, right: list[bool], calls: list[int] | None = None, **sample: Any) -> Path:
    calls = calls or [0] * len(right)
    return write_run(place, [row(i, r, calls=c, **sample) for i, (r, c) in enumerate(zip(right, calls, strict=True))])


def first(explanation: Explanation) -> Explained:
    return explanation.rules[0]


def kept(id: int, right: bool | Verdict, *, arm: str = AGENT, repeat: int = 0, cluster: str = "") -> Kept:
    verdict = right if isinstance(right, Verdict) else Verdict.CORRECT if right else Verdict.INCORRECT
    return Kept(id=str(id), arm=arm, repeat=repeat, verdict=verdict, cluster=cluster)


def right(row: Kept) -> bool:
    return row.verdict is Verdict.CORRECT


@pytest.mark.parametrize("change", [0.0, 0.05])
def test_the_gate_fails_and_passes_as_often_as_is_said(tmp_path: Path, change: float) -> None:
    n, share, draws = 100, 0.7, 2000
    old = run(tmp_path / "old", [i < share * n for i in range(n)])
    flips = [(i < share * n) != (i % 25 < 3) for i in range(n)]
    said = first(explain(old, RULES, new=run(tmp_path / "new", flips)))
    # 12 % disagree, of which a fall by 6 points makes 0.06 * (2 * 0.7 - 1) by itself
    assert said.discordance == pytest.approx(12.5 / 101 - 0.06 * 0.4, abs=1e-9)
    expected = stats.gate_power(
        n,
        said.discordance + change * (2 * share - 1),
        -change,
        fail_below=0.0,
        pass_above=-0.03,
        fail_alpha=0.025,
    )
    found = said.unchanged if not change else next(chance for chance in said.chances if chance.change == change)
    assert found is not None
    assert (found.fails, found.passes) == pytest.approx(expected, abs=2e-3)
    # the same pairs, drawn, through the gate's own check and Holm over a second test that shows nothing
    draw = np.random.default_rng(3)
    discordance = said.discordance + change * (2 * share - 1)
    tables = draw.multinomial(n, [(discordance - change) / 2, (discordance + change) / 2, 1 - discordance], draws)
    counts = dict.fromkeys(Status, 0)
    seen: dict[tuple[int, int], Status] = {}
    for up, down, _ in tables.tolist():
        if (up, down) not in seen:
            new_values = (1.0,) * up + (0.0,) * (n - up)
            old_values = (0.0,) * up + (1.0,) * down + (0.0,) * (n - up - down)
            values = Values(new_values, old_values, tuple(map(str, range(n))))
            contrast = PairedShares(values, share=True, confidence=0.95)
            check = check_of(RULES[0], 0.95).look(contrast)
            other = msgspec.structs.replace(check, rule=RULES[1], p=1.0, status=Status.PASS)
            seen[up, down] = judged([check, other], "t", 0.95)[0].status
        counts[seen[up, down]] += 1
    assert binomtest(counts[Status.FAIL], draws, found.fails).pvalue > 1e-4
    assert binomtest(counts[Status.PASS], draws, found.passes).pvalue > 1e-4


def test_the_smallest_change_seen_is_seen_and_enough_samples_are_enough(tmp_path: Path) -> None:
    old = run(tmp_path / "old", [i < 700 for i in range(1000)])
    new = run(tmp_path / "new", [(i < 700) != (i % 10 == 0) for i in range(1000)])
    said = first(explain(old, RULES, new=new, n=800))
    seen = said.seen["80%"]
    assert seen is not None
    assert said.discordance is not None
    shifted = said.discordance + seen * 0.4
    fails = stats.gate_power(800, shifted, -seen, fail_below=0, pass_above=-0.03, fail_alpha=0.025).fails
    assert fails == pytest.approx(0.8, abs=1e-3)
    assert said.seen["90%"] is not None
    assert said.seen["90%"] > seen
    assert said.enough is not None
    again = first(explain(old, RULES, new=new, n=said.enough)).unchanged
    assert again is not None
    assert again.passes == pytest.approx(0.8, abs=0.01)
    assert said.unchanged is not None
    assert said.unchanged.fails <= 0.025


def test_all_checks_together_raise_no_more_false_alarms_than_stated(tmp_path: Path) -> None:
    old = run(tmp_path / "old", [i % 3 > 0 for i in range(600)], [i % 2 for i in range(600)])
    found = explain(old, None)
    assert found.tests == 2
    assert 0 < found.false_alarms <= 0.05
    assert found.false_alarms == pytest.approx(sum(r.unchanged.fails for r in found.rules if r.unchanged))
    # a check whose chances are not known may use up all that is left
    unknown = explain(old, [*RULES, parse_rule("latency_p95:max:+20%")])
    assert unknown.tests == 3
    assert unknown.false_alarms == pytest.approx(0.05)


def test_noise_is_taken_from_the_new_run_then_from_repeats_then_assumed() -> None:
    old = [kept(i, i < 80) for i in range(100)]
    new = [kept(i, (i < 80) != (i % 10 == 0)) for i in range(100)]
    again = [kept(i, (i < 80) != (i % 20 == 0), arm=AGAIN) for i in range(100)]
    repeats = [kept(i, (i < 80) != (i % 4 == 0), repeat=1) for i in range(100)]
    by_new, by_again, by_repeat, by_none = (
        noise_of(old, new, right),
        noise_of([*old, *again], [], right),
        noise_of([*old, *repeats], [], right),
        noise_of(old, [], right),
    )
    assert by_new
    assert by_again
    assert by_repeat
    assert by_none
    # 10 disagree and the share falls by 6 points, which by itself makes 0.06 * (2 * 0.8 - 1) disagree
    assert by_new.discordance == pytest.approx(10.5 / 101 - 0.06 * 0.6, abs=1e-9)
    assert by_again.discordance == pytest.approx(5.5 / 101)
    assert by_repeat.discordance == pytest.approx(25.5 / 101)
    assert by_none.discordance == pytest.approx(0.32)
    assert [one.known_by.split(",")[0].split(" on ")[0] for one in (by_new, by_again, by_none)] == [
        "seen between the two runs",
        "seen between the baseline's own repeats",
        "assumed",
    ]


def test_noise_is_never_nothing_and_never_more_than_all() -> None:
    same = [kept(i, True) for i in range(50)]
    for rows in ([], same):
        found = noise_of(same, rows, right)
        assert found
        assert 0 < found.discordance < 0.02
    assert noise_of([], [], right) is None
    assert noise_of([kept(1, Verdict.ENGINE_ERROR)], [], right) is None
    noise = Noise(share=0.9, discordance=0.01, design_effect=1, known_by="")
    assert noise.discordance_at(0.5) == 0.5
    assert noise.discordance_at(-0.1) == pytest.approx(0.1)
    assert Noise(share=0.5, discordance=0.99, design_effect=1, known_by="").discordance_at(1.0) == 1.0


def test_clusters_cost_samples() -> None:
    old = [kept(i, True, cluster=str(i // 4)) for i in range(400)]
    new = [kept(i, (i // 4) % 10 > 0, cluster=str(i // 4)) for i in range(400)]
    found = noise_of(old, new, right)
    assert found
    assert found.design_effect == pytest.approx(4, rel=0.1)


def test_what_has_no_power_says_why_in_its_row(tmp_path: Path) -> None:
    old = run(tmp_path / "old", [True, False] * 50, [1] * 100)
    rules = ["errors:max:1%", "redundant_rate:max:10%", "latency_p95:max:+20%", "calls:max:+10%", "accuracy:min:+5pt"]
    found = explain(old, [parse_rule(rule) for rule in rules])
    by_rule = {one.rule: one for one in found.rules}
    assert "exit code 3" in by_rule["errors:max:1%"].why
    assert "new run alone" in by_rule["redundant_rate:max:10%"].why
    assert "no yes or no" in by_rule["latency_p95:max:+20%"].why
    assert "at the limit or beyond" in by_rule["accuracy:min:+5pt"].why
    for cells, one in zip(explanation_rows(found), found.rules, strict=True):
        assert len(cells) == len(HEADER)
        assert one.unchanged is not None or cells[-1] == one.why
    assert msgspec.json.decode(msgspec.json.encode(found), type=Explanation) == found


def test_there_is_no_chance_of_a_change_that_there_is_no_room_for(tmp_path: Path) -> None:
    old = run(tmp_path / "old", [True] * 200, [1] * 197 + [0] * 3)
    tools = explain(old, RULES).rules[1]
    assert [chance.change for chance in tools.chances] == [0.01]
    assert tools.seen == {"80%": None, "90%": None}
    assert explanation_rows(explain(old, RULES))[1].count("no room") == 3


def test_a_category_has_the_power_of_its_own_samples(tmp_path: Path) -> None:
    rows = [row(i, i % 5 > 0, category="small" if i < 50 else "large") for i in range(400)]
    old = samples_of(write_run(tmp_path / "old", rows))
    found = explain(old, [parse_rule("accuracy:noninferior:3pt", category=name) for name in ("small", "large")], n=800)
    assert [one.n for one in found.rules[:2]] == [100, 700]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"n": 0}, "no number of samples"), ({"confidence": 1.0}, "confidence"), ({"new": Path("other")}, "is a run of")],
)
def test_what_cannot_be_explained_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    run(Path("old"), [True, False])
    write_run(Path("other"), [row(1)], task={"name": "letters"})
    with pytest.raises(EvalkitError, match=said):
        explain("old", RULES, **options)
    with pytest.raises(EvalkitError, match="without samples"):
        explain("published:Metis-8B", RULES)
