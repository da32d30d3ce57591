"""The pixel ledger: an image is recorded in the turn that first saw it: its size, its size then, where it came from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from evalkit import CallStatus, ImageFile, Sample
from evalkit.agents import Agent, Limits
from evalkit.agents.ledger import crop_of
from evalkit.agents.protocols import Metis, QwenTools
from evalkit.analysis import summarise
from evalkit.content import find_tasks, open_task
from evalkit.engines import Completion, ReplayEngine, Request, Sampling
from evalkit.engines.pixels import FAMILIES, PixelBudget, Seen
from evalkit.models import ModelCard, Pixels, Weights, cards
from evalkit.records import Outcome, Record, Shown, Trajectory, Turn, Verdict
from evalkit.reporting import figure_rows
from evalkit.runs.pixels import budget_for, shrink_note
from evalkit.tools.base import ToolResult, ToolSpec

BUDGET = PixelBudget(factor=32, min_pixels=32 * 32, max_pixels=96 * 96)
CALL = '<tool_call>{"name": "python", "arguments": {"code": "image_1.crop((10, 20, 30.5, 40))"}}</tool_call>'
ANSWER = "<answer>A</answer>"


def image(width: int, height: int, name: str = "image") -> ImageFile:
    return ImageFile.from_pil(Image.new("RGB", (width, height), (width % 256, height % 256, 7)), name)


class Tool:
    """Gives the same images at every call."""

    spec = ToolSpec(name="python", description="", parameters={"type": "object"})

    def __init__(self, *images: ImageFile) -> None:
        self.images = images

    async def open(self, *_: Any) -> Tool:
        return self

    async def call(self, arguments: dict[str, Any]) -> ToolResult:
        return ToolResult(status=CallStatus.OK, images=self.images)

    async def close(self) -> None:
        """Nothing to free."""


class Model:
    """Says its texts in turn, and what became of the request's images."""

    def __init__(self, texts: Sequence[str], told: Sequence[tuple[Seen, ...]] = ()) -> None:
        self.texts, self.told = texts, told

    async def start(self) -> dict[str, Any]:
        return {}

    async def generate(self, request: Request) -> Completion:
        told = self.told[request.turn] if self.told else ()
        return Completion(text=self.texts[request.turn], images=told)

    async def close(self) -> None:
        """Nothing to free."""


async def turns(model: Any, *tools: Tool, protocol: Any = None, budget: PixelBudget | None = None) -> tuple[Turn, ...]:
    agent = Agent(
        engine=model,
        protocol=protocol or QwenTools(),
        tools={"python": tools[0]} if tools else {},
        sampling=Sampling(),
        limits=Limits(turns=3),
        budget=budget,
    )
    sample = Sample(id="s", question="what?", images=(image(768, 768, "a"), image(64, 32, "b")))
    return (await agent.run(sample, "s/agent/0")).turns


async def test_the_engines_word_is_recorded_once_for_each_image() -> None:
    first = (Seen(width=96, height=96, tokens=9), Seen(width=64, height=32, tokens=2))
    second = (*first, Seen(width=32, height=32, tokens=1))
    one, two = await turns(Model([CALL, ANSWER], [first, second]), Tool(image(20, 20)), budget=BUDGET)
    assert one.shown == (
        Shown(origin="sample", width=768, height=768, shown_width=96, shown_height=96, tokens=9),
        Shown(origin="sample", width=64, height=32, shown_width=64, shown_height=32, tokens=2),
    )
    assert two.shown == (
        Shown(
            origin="python", width=20, height=20, shown_width=32, shown_height=32, tokens=1,
            source="image_1", box=(10.0, 20.0, 30.5, 40.0),
        ),
    )  # fmt: skip


async def test_what_the_engine_does_not_tell_is_computed_and_marked_or_left_unknown() -> None:
    one, two = await turns(Model([CALL, ANSWER]), Tool(image(20, 20), image(300, 300)), budget=BUDGET)
    assert [(s.shown_width, s.shown_height, s.tokens, s.computed) for s in one.shown + two.shown] == [
        (96, 96, 9, True),
        (64, 32, 2, True),
        (32, 32, 1, True),
        (96, 96, 9, True),
    ]
    one, _ = await turns(Model([CALL, ANSWER]), Tool(image(20, 20)))
    assert one.shown[0] == Shown(origin="sample", width=768, height=768)


async def test_a_tools_image_is_recorded_with_the_size_before_the_protocol_resized_it() -> None:
    wide = FAMILIES["qwen3_vl"]
    _, two = await turns(
        Model([CALL, ANSWER]), Tool(image(40, 40)), protocol=Metis(), budget=wide
    )  # fmt: skip
    (shown,) = two.shown
    assert (shown.width, shown.height) == (40, 40)
    assert (shown.shown_width, shown.shown_height) == (256, 256)


async def test_a_replayed_run_has_the_recorded_runs_ledger() -> None:
    first = (Seen(width=96, height=96, tokens=9), Seen(width=64, height=32, tokens=2))
    recorded = await turns(
        Model([CALL, ANSWER], [first, (*first, Seen(width=32, height=32, tokens=1))]), Tool(image(20, 20))
    )
    again = await turns(ReplayEngine({"s/agent/0": recorded}), Tool(image(20, 20)))
    assert [turn.shown for turn in again] == [turn.shown for turn in recorded]


@pytest.mark.parametrize(
    ("arguments", "source", "box"),
    [
        ({"bbox_2d": [1, 2, 3, 4], "target_image": 2}, "2", (1.0, 2.0, 3.0, 4.0)),
        ({"bbox": (0.1, 0.2, 0.3, 0.4), "image": "image_1"}, "image_1", (0.1, 0.2, 0.3, 0.4)),
        ({"code": "x = image_12.crop((1, 2, 3, 4))\nx.resize((9, 9))"}, "image_12", (1.0, 2.0, 3.0, 4.0)),
        ({"code": "image_1.crop((1, 2, 3, 4)); image_1.crop((1, 2, 3, 4))"}, "", None),
        ({"code": "image_1.crop((a, b, c, d))"}, "", None),
        ({"code": "image_1.rotate(90)"}, "", None),
        ({"code": 3}, "", None),
        ({"bbox_2d": [1, 2, 3]}, "", None),
        ({"bbox_2d": [1, 2, 3, True]}, "", None),
        ({"bbox_2d": [1, 2, 3, float("nan")]}, "", None),
        ({"bbox_2d": [1, 2, 3, 10**400]}, "", None),
        ({"bbox_2d": "1,2,3,4", "image": None}, "", None),
        ({"image": "x" * 500}, "x" * 40, None),
        ({"image": "\ud800"}, "?", None),
        ({"img_idx": True, "image": {"a": 1}}, "", None),
        ({}, "", None),
    ],
)
def test_a_calls_crop_is_read_from_its_arguments(arguments: dict[str, Any], source: str, box: Any) -> None:
    assert crop_of(arguments) == (source, box)


def test_hostile_code_is_read_in_linear_time() -> None:
    for code in ("image_1.crop((" + "1" * 10**6, "image_1.crop((" * 70_000, "image_1.crop((1," + " " * 10**6):
        assert crop_of({"code": code}) == ("", None)


def many(width: int, height: int, count: int = 3) -> list[Sample]:
    return [Sample(id=str(i), question="", images=(image(width, height),)) for i in range(count)]


def test_a_benchmark_whose_large_images_lose_their_detail_is_warned_of() -> None:
    small = PixelBudget(factor=32, min_pixels=65_536, max_pixels=1_003_520)
    note = shrink_note(many(3840, 2160), small, "vllm")
    assert note == (
        "images are shrunk from 8.3 to 1.0 megapixels (medians of 3) before the model sees them; "
        "--max-pixels changes it"
    )
    served = shrink_note(many(3840, 2160), small, "openai")
    assert served is not None
    assert "--mm-processor-kwargs" in served
    assert "--max-pixels" not in served
    assert shrink_note(many(3840, 2160), FAMILIES["qwen3_vl"], "vllm") is None
    assert shrink_note(many(800, 800), BUDGET, "vllm") is None, "small images are what they are"
    assert shrink_note(many(3840, 2160), None, "vllm") is None
    broken = Sample(id="b", question="", images=(ImageFile.from_bytes(b"no image", "b"),))
    assert shrink_note([broken, *many(3840, 2160)], small, "vllm") == note


def test_the_budget_is_the_engines_word_else_the_cards_family(tmp_path: Path) -> None:
    card = ModelCard(name="m", engine="openai", family="qwen2_5_vl", pixels=Pixels(max=10**6))
    assert budget_for(card, {}) == PixelBudget(factor=28, min_pixels=3136, max_pixels=10**6)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3_vl"}))
    folder = ModelCard(name="m", engine="openai", weights=Weights(folder=str(tmp_path)))
    assert budget_for(folder, {}) == FAMILIES["qwen3_vl"]
    (tmp_path / "config.json").write_text("[")
    assert budget_for(folder, {}) is None
    assert budget_for(ModelCard(name="m", engine="openai"), {}) is None
    told = {"pixels": {"factor": 32, "min_pixels": 1024, "max_pixels": 9216}}
    assert budget_for(ModelCard(name="m", engine="vllm"), told) == BUDGET
    assert budget_for(ModelCard(name="m", engine="vllm", family="qwen3_vl"), {"pixels": None}) is None


def test_the_summary_has_the_sizes_of_images_and_the_tokens_of_rows() -> None:
    task = open_task(find_tasks(())["wemath"], "sample", None, {})
    known = Shown(origin="sample", width=2000, height=1000, shown_width=1000, shown_height=500, tokens=500)
    unknown = Shown(origin="sample", width=2000, height=1000)

    def record(id: int, *shown: Shown) -> Record:
        turn = Turn(text="", shown=shown)
        return Record(
            version=1,
            sample=list(task.samples())[id],
            trajectory=Trajectory(prompt="", stop="answered", turns=(turn,)),  # type: ignore[arg-type]
            outcome=Outcome(verdict=Verdict.INCORRECT),
        )

    summary = summarise(task, "m", 3, [record(0, known, known), record(1, known, unknown), record(2)])
    assert (summary.pixels["original"].n, summary.pixels["original"].p50) == (3, 2.0)
    assert summary.pixels["shown"].p50 == 0.5
    assert (summary.pixels["tokens"].n, summary.pixels["tokens"].mean) == (1, 1000)
    rows = {row.name: row.value for row in figure_rows(summary)}
    assert rows["image as the model gets it"] == "0.5 of 2 megapixels (medians)"
    assert rows["image tokens per row"] == "1000.0"
    bare = {row.name for row in figure_rows(summarise(task, "m", 3, [record(0)]))}
    assert not {"image as the model gets it", "image tokens per row"} & bare


def test_a_served_model_whose_weights_are_at_hand_has_its_own_processors_bounds() -> None:
    nano = cards()["metis-nano"]
    served = msgspec.structs.replace(nano, engine="openai")
    assert budget_for(served, {}) == PixelBudget(factor=32, min_pixels=1024, max_pixels=9216)
    bounded = msgspec.structs.replace(served, pixels=Pixels(max=4096))
    assert budget_for(bounded, {}) == PixelBudget(factor=32, min_pixels=1024, max_pixels=4096)
