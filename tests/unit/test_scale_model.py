"""The arithmetic of the model of cost and time: what can be worked out by hand, and bounds that no schedule beats."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import scale_model, scale_work
from benchmarks.scale_model import Gpu
from benchmarks.scale_work import Turn
from tests.conftest import ROOT

# a second for 10 prompt tokens, a step of 0.5 s however many sequences there are
PLAIN = Gpu(
    weight_bytes=0.5,
    kv_bytes=1e-12,
    memory_bytes=1.0,
    bandwidth=1.0,
    flops=20.0,
    parameters=1.0,
    step_s=0.0,
    image_s=0.0,
)


def box(text: str) -> str:
    return f'<tool_call>{{"arguments": {{"bbox_2d": {text}}}}}</tool_call>'


TURNS = st.builds(
    Turn, prompt=st.floats(1, 1e4), out=st.floats(1, 1e3), megapixels=st.just(0.0), tool_s=st.floats(0, 5)
)
RUNS = st.lists(st.lists(TURNS, min_size=1, max_size=3), min_size=1, max_size=12)


def test_one_trajectory_takes_what_it_takes_alone() -> None:
    row = [Turn(20, 4, tool_s=3), Turn(10, 2)]
    # 2 s in, 4 steps, the tool, 1 s in, 2 steps
    assert scale_model.alone(row, PLAIN) == pytest.approx(2 + 4 * 0.5 + 3 + 1 + 2 * 0.5)
    run = scale_model.simulate([row], 4, 64, PLAIN)
    assert run.seconds == pytest.approx(9)
    assert run.busy_s == pytest.approx(6)


def test_a_batch_decodes_together_and_prompts_go_one_after_the_other() -> None:
    run = scale_model.simulate([[Turn(10, 4)]] * 3, 1, 64, PLAIN)
    assert run.seconds == pytest.approx(3 + 4 * 0.5)
    assert run.busy_s == pytest.approx(run.seconds)
    one_by_one = scale_model.simulate([[Turn(10, 4)]] * 3, 1, 1, PLAIN)
    assert one_by_one.seconds == pytest.approx(3 * (1 + 4 * 0.5))


def test_what_does_not_fit_into_memory_waits() -> None:
    gpu = PLAIN._replace(memory_bytes=15.0, kv_bytes=1.0, weight_bytes=0.0, bandwidth=1e12, step_s=0.4)
    assert gpu.kv_tokens == 15
    # 14 tokens each: the second is taken in when the first has ended
    run = scale_model.simulate([[Turn(10, 4)]] * 2, 1, 64, gpu)
    assert run.seconds == pytest.approx(2 * (1 + 4 * 0.5))


def test_a_step_is_bound_by_memory_or_by_arithmetic() -> None:
    gpu = Gpu()
    assert gpu.step(1, 0) == pytest.approx(gpu.step_s + gpu.weight_bytes / gpu.bandwidth)
    assert gpu.step(1, 1000) > gpu.step(1, 0)
    many = 10_000
    assert gpu.step(many, 0) == pytest.approx(gpu.step_s + 2 * gpu.parameters * many / gpu.flops)


def test_images_cost_the_host_what_they_cost_if_that_is_more() -> None:
    gpu = Gpu(image_s=1.0)
    assert gpu.prefill(1, megapixels=3) == pytest.approx(3)
    assert gpu.prefill(1e6, megapixels=3) == pytest.approx(2 * gpu.parameters * 1e6 / gpu.flops)


@settings(max_examples=60, deadline=None)
@given(rows=RUNS, gpus=st.integers(1, 5), in_flight=st.integers(1, 6))
def test_no_schedule_beats_its_bounds(rows: list[list[Turn]], gpus: int, in_flight: int) -> None:
    gpu = Gpu()
    run = scale_model.simulate(rows, gpus, in_flight, gpu)
    # a step of a batch is never cheaper than the bare weights, and a context only makes it dearer
    least = max(
        sum(gpu.prefill(t.prompt) + t.out * gpu.step(1, 0) for t in row) + sum(t.tool_s for t in row[:-1])
        for row in rows
    )
    assert run.seconds >= least * (1 - 1e-6)
    assert run.busy_s <= gpus * run.seconds * (1 + 1e-6)
    serial = sum(scale_model.alone(row, gpu) for row in rows)
    assert run.seconds <= serial * 1.01 + 1e-6
    one = scale_model.simulate(rows, 1, in_flight, gpu)
    assert run.seconds <= one.seconds * 1.01 + max(scale_model.alone(row, gpu) for row in rows)


def test_the_simulation_agrees_with_a_published_measurement() -> None:
    simulated, measured = scale_model.check(Gpu())
    assert simulated == pytest.approx(measured, rel=0.25)


def test_cost_counts_every_gpu_from_the_start_of_loading() -> None:
    assert scale_model.cost(8, 1_680, 120, 2.0) == pytest.approx(8 * 0.5 * 2)


def test_weights_are_read_as_fast_as_the_slower_of_node_and_store() -> None:
    assert scale_model.load_s(1, 10e9, store=50e9, node=5e9) == pytest.approx(2)
    assert scale_model.load_s(64, 10e9, store=50e9, node=5e9) == pytest.approx(64 * 10 / 50)


def test_a_limit_cuts_generations_only() -> None:
    rows = scale_model.limited([Turn(5000, 3000, tool_s=1), Turn(1, 10)], 2048)
    assert rows == [Turn(5000, 2048, tool_s=1), Turn(1, 10)]
    assert scale_model.limited(rows, math.inf) == rows


def test_turns_of_a_recorded_chat() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,"}}
    said = box("[0, 0, 280, 560]").ljust(64)
    chat: list[dict[str, Any]] = [
        {"role": "system", "content": "s" * 32},
        {"role": "user", "content": [image, {"type": "text", "text": "q" * 32}]},
        {"role": "assistant", "content": said},
        {"role": "user", "content": [image, {"type": "text", "text": "go on".ljust(16)}]},
        {"role": "assistant", "content": "x" * 320_000},
    ]
    first, second = scale_work.turns(chat, (2800, 1400))
    assert first.prompt == pytest.approx(32 / 3.2 + 100 * 50 + 32 / 3.2)
    assert first.out == pytest.approx(len(said) / 3.2)
    assert first.tool_s == scale_work.CROP_S
    assert first.megapixels == pytest.approx(2.8 * 1.4)
    assert second.prompt == pytest.approx(10 * 20 + 16 / 3.2)
    assert second.megapixels == pytest.approx(0.28 * 0.56)
    # the recorded runs' limit of a generation
    assert second.out == 10_240
    assert second.tool_s == 0


def test_an_image_is_shown_no_larger_than_the_recorded_runs_limit() -> None:
    assert scale_work.image_tokens(4032, 3024) == 144 * 108
    assert scale_work.image_tokens(8064, 6048) <= 16_384
    # too long and narrow for the processor
    assert scale_work.image_tokens(30_000, 10) == 0


def test_direct_runs_take_the_prompt_in_once_a_row() -> None:
    rows = [[Turn(900, 50, 2.0, 0.1), Turn(80, 7)]]
    made = list(scale_work.direct(rows, 3))
    assert made == [(Turn(900, 7, 2.0),), (Turn(32, 7),), (Turn(32, 7),)]


def test_rows_of_the_recorded_runs() -> None:
    data = Path(ROOT).parent / "shared" / "data"
    if not (data / "vstar").is_dir():
        pytest.skip("no recorded runs here (shared/data)")
    work = {each.name: each for each in scale_work.all_work(data)}
    counts = {name: len(each.trajectories) for name, each in work.items()}
    assert counts["V*Bench, terse"] == counts["V*Bench, runs on"] == 191
    # of 800, four failed before their first reply
    assert counts["HR-Bench 4K"] == 796
    assert (counts["MathVista"], counts["WeMath"]) == (1000, 1740)
    assert counts["all four, agent and 8 direct"] == (191 + 796 + 1000 + 1740) * 9

    def written(name: str) -> float:
        rows = work[name].trajectories
        return sum(float(turn.out) for row in rows for turn in row) / len(rows)

    # counted with the models' own vocabulary: 104, 3,939 and 399 a row (401 without the four)
    assert written("V*Bench, terse") == pytest.approx(104, rel=0.05)
    assert written("V*Bench, runs on") == pytest.approx(3939, rel=0.15)
    assert written("HR-Bench 4K") == pytest.approx(401, rel=0.05)
    assert max(turn.out for row in work["V*Bench, runs on"].trajectories for turn in row) == 10_240
