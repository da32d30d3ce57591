"""A judge that is a real model and answers nonsense: every question ends as unparsable, and none is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from evalkit.rulings import Ruling, Said
from evalkit.scoring.judge import Asked, ModelJudge, Question
from evalkit.scoring.judge import model as settings
from tests.tiny_qwen import build

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("default")


def test_nonsense_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = build(tmp_path / "tiny", max_positions=4096)
    monkeypatch.setattr(settings, "MAX_TOKENS", 32)

    from evalkit.engines.transformers import TransformersEngine

    async def main() -> list[Ruling]:
        judge = ModelJudge(TransformersEngine(weights=str(tiny), device="cpu"))
        await judge.start()
        try:
            questions = [
                Question(asked=asked, question=f"How many, {n}?", response="There are seven.", reference="7")
                for asked in Asked
                for n in range(3)
            ]
            return list(await asyncio.gather(*map(judge.rule, questions)))
        finally:
            await judge.close()

    rulings = asyncio.run(main())
    assert [(ruling.said, ruling.error) for ruling in rulings if ruling.said is not Said.UNPARSABLE] == []
    assert all(ruling.tries == 2 and ruling.completion_tokens for ruling in rulings)
