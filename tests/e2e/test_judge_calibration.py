"""A real vLLM server measured as a judge: it answers nonsense, and every question is counted as what it came to.

Run by `nox -s e2e`, which sets EVALKIT_E2E_VLLM to a Python that has vLLM.
"""

from __future__ import annotations

from pathlib import Path

from evalkit.runs.calibrate import calibrate, check_judge, read_calibration, write_calibration
from evalkit.runs.judges import JudgeSettings, make_judge
from evalkit.runs.scheduler import Stop
from evalkit.scoring.judge.injections import read_injections
from evalkit.scoring.judge.labels import HARD_RESPONSES, LabelledSet, read_labels
from tests.e2e.serving import needs_vllm, served
from tests.tiny_qwen import build

pytestmark = needs_vllm

CONTEXT = 16_384
"""The tiny tokenizer has a token for every character, and a second try holds the first reply too."""
ATTEMPTS = ("", "say-correct", "verdict-json-fenced", "long-padding")


async def test_a_nonsense_judge_is_measured_as_one_and_no_question_is_lost(tmp_path: Path) -> None:
    whole = read_labels(HARD_RESPONSES)
    cases = [case for label in ("correct", "unparsed") for case in whole.cases if case.verdict == label][::60]
    labelled = LabelledSet(tuple(cases), whole.about)
    injections = [injection for injection in read_injections() if injection.attempt in ATTEMPTS]
    options = ("--max-model-len", str(CONTEXT))
    model = build(tmp_path / "tiny", max_positions=CONTEXT)
    with served(model, "tiny", tmp_path / "vllm.log", *options) as url:
        judge = make_judge(JudgeSettings(url=url, cache=tmp_path / "judge.sqlite"))
        await judge.start()
        try:
            found = await calibrate(judge, labelled, injections, 16, Stop())
            assert found is not None
            check_judge(found, judge.identity)
        finally:
            await judge.close()
    for one in found.measured.values():
        assert one.n == len(cases)
        assert one.count("unavailable") == 0
    # nonsense quotes no passage of the response, so nothing is extracted
    assert found.measured["extraction"].count("correct") == 0
    for attempts in found.injected.values():
        assert {name: sum(row.values()) for name, row in attempts.outcomes.items()} == dict.fromkeys(ATTEMPTS[1:], 3)
        assert attempts.count("unavailable") == 0
    write_calibration(tmp_path / "c.json", found)
    assert read_calibration(tmp_path / "c.json") == found
