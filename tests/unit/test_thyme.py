"""Thyme's protocol: code in the model's own turn, tries, the question without tools, its rewriting of code."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit import CallStatus, Sample, StopReason
from evalkit.agents import Limits
from evalkit.agents.protocols import Thyme
from evalkit.agents.protocols._thyme_code import eight_decimals, mended, refusal, with_clamped_boxes
from evalkit.engines import Request, Sampling
from evalkit.errors import EvalkitError
from evalkit.tools.base import ToolResult
from evalkit.tools.files import FileTool, printed_paths
from tests.agents import FAILED, OK, Model, ToldTool, kept, picture, ran

CODE = "<think>zoom\n<code>\n```python\nprint(1)\n```\n</code>"
ANSWER = "so</think><answer>B</answer>"
FIVE = Limits(turns=5)


class Bare(Thyme):
    """Without files: the tool's own result is what is shown."""

    def equip(self, tool: Any) -> Any:
        return tool


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("<code>\n```python\na = 1\nb\n```\n</code>", "a = 1\nb"),
        ("<code>a</code>", "a"),
        ("<code>```\na\n```</code>", "a"),
        ("<CODE>\n```Python\na\n```\n</CODE>", "a"),
        ("<code>```python\nfirst\n```</code> <code>```python\nsecond\n```</code>", "first"),
        ("<code>```python\nif a:\n    b\n```</code>", "if a:\n    b"),
        ("<code>```python\n    a\n```</code>", "    a"),
        ("<code>pythonic = 1</code>", "pythonic = 1"),
    ],
)
def test_the_first_code_block_is_the_call(text: str, code: str) -> None:
    (call,) = Thyme().parse(text).calls
    assert (call.tool, call.arguments, call.error) == ("python", {"code": code}, "")


def test_code_that_never_closes_is_no_call_to_run() -> None:
    (call,) = Thyme().parse("<code>```python\na").calls
    assert "missing" in call.error


@pytest.mark.parametrize(
    ("text", "answered"),
    [
        (ANSWER, True),
        ("<answer>B", False),
        ("<code>print('<answer>B</answer>')</code>", False),
        ("<answer>B</answer> <code>a</code>", True),
    ],
)
def test_an_answer_outside_code_ends_the_trajectory(text: str, answered: bool) -> None:
    reply = Thyme().parse(text)
    assert (reply.answered, reply.last) == (answered, answered)


@given(st.text(st.sampled_from("<>/codeansw`python \nABİ"), max_size=120) | st.text(max_size=120))
def test_no_text_breaks_the_parser(text: str) -> None:
    for call in Thyme().parse(text).calls:
        assert call.error or call.arguments["code"] in text


async def test_the_output_goes_on_in_the_models_own_turn() -> None:
    shown = picture(32, 32, "blue")
    model = Model(CODE, CODE, ANSWER)
    tool = ToldTool(ToolResult(status=CallStatus.OK, text="a.png\n", images=(shown,)), OK)
    done = await ran(Bare(), model, tool, limits=FIVE)
    assert done.stop is StopReason.ANSWERED
    assert [message.role for message in model.requests[2].messages] == ["system", "user", "assistant"]
    assert model.requests[2].messages[-1].parts == (
        f"{CODE}<sandbox_output>",
        shown,
        f"</sandbox_output>{CODE}<sandbox_output>fine</sandbox_output>",
    )
    assert [request.continues for request in model.requests] == [False, True, True]
    assert model.requests[0].stop == ("</code>", "</answer>")
    assert done.turns[0].observations[0].images == (shown,)
    assert (done.restarts, done.fallback, done.final) == (0, "", "")
    assert not any(turn.discarded for turn in done.turns)
    assert done.response == ANSWER


async def test_failed_code_is_taken_out_and_costs_a_turn_of_its_try() -> None:
    model = Model(CODE, ANSWER)
    done = await ran(Bare(), model, ToldTool(FAILED), limits=FIVE)
    assert model.requests[1].messages == model.requests[0].messages
    assert done.stop is StopReason.ANSWERED
    (failed, _) = done.turns
    assert failed.discarded == "the code failed"
    assert (failed.calls[0].status, failed.calls[0].error) == (CallStatus.FAILED, "NameError: x")
    assert failed.observations == ()
    assert done.restarts == 0


async def test_five_tries_of_five_turns_and_then_the_question_without_tools() -> None:
    # 5 x 5 + 1; the last turn of a try runs no code
    model = Model(*[CODE] * 25, "It is B.")
    tool = ToldTool(FAILED)
    done = await ran(Bare(), model, tool, limits=FIVE)
    assert (len(done.turns), len(tool.calls), done.restarts) == (26, 20, 4)
    assert [turn.discarded for turn in done.turns[3:6]] == [
        "the code failed",
        "no answer within the turns of a try",
        "the code failed",
    ]
    assert done.turns[4].calls[0].status is CallStatus.NOT_RUN
    assert len(kept(done)) == 1
    last = model.requests[-1]
    assert [message.role for message in last.messages] == ["user"]
    assert last.messages[0].images == model.requests[0].messages[1].images
    assert (last.stop, last.continues) == ((), False)
    assert done.fallback == last.messages[0].text != ""
    assert done.stop is StopReason.ENDED
    assert done.response == done.final == "<answer>It is B.</answer>"
    assert tool.closed >= 5


async def test_an_answer_tag_in_the_reply_without_tools_counts_as_it_is() -> None:
    done = await ran(Bare(), Model(*["hm"] * 5, "I say <answer>B</answer>"), ToldTool(OK), limits=FIVE)
    assert (done.stop, done.final) == (StopReason.ANSWERED, "")


async def test_a_turn_with_neither_code_nor_an_answer_ends_the_try() -> None:
    model = Model("well", CODE, ANSWER)
    done = await ran(Bare(), model, ToldTool(OK), limits=FIVE)
    assert done.restarts == 1
    assert done.turns[0].discarded == "neither code nor an answer"
    assert model.requests[1].messages == model.requests[0].messages
    assert done.stop is StopReason.ANSWERED


async def test_turns_that_stayed_in_go_with_their_try() -> None:
    done = await ran(Bare(), Model(CODE, "well", ANSWER), ToldTool(OK), limits=FIVE)
    assert [turn.discarded for turn in done.turns] == ["neither code nor an answer"] * 2 + [""]
    assert done.turns[0].observations


@pytest.mark.parametrize(("quirks", "hot"), [((), 0.01), (("hot_retry",), 1.0)])
async def test_the_temperature_of_further_tries_is_a_quirk(quirks: tuple[str, ...], hot: float) -> None:
    model = Model(CODE, CODE, "well", CODE, CODE, "well", *["well"] * 3, "B")
    done = await ran(
        Bare(quirks), model, ToldTool(FAILED, OK), limits=FIVE, sampling=Sampling(temperature=0.01, top_k=1)
    )
    # failed code alone changes nothing; the question without tools is drawn as the run says
    assert model.temperatures == [0.01] * 3 + [hot] * 6 + [0.01]
    drawn = [turn.temperature for turn in done.turns]
    assert drawn == ([None] * 3 + [1.0] * 6 + [None] if quirks else [None] * 10)
    assert all(request.sampling.top_k == 1 for request in model.requests)


async def test_each_try_draws_with_seeds_of_its_own() -> None:
    model = Model("well", ANSWER)
    await ran(Bare(), model, ToldTool(OK), limits=FIVE, sampling=Sampling(seed=3))
    assert len({request.sampling.seed for request in model.requests}) == 2


async def test_without_tools_there_is_one_turn() -> None:
    done = await ran(Thyme(), Model("well"), limits=FIVE)
    assert (len(done.turns), done.stop, done.restarts, done.fallback) == (1, StopReason.ENDED, 0, "")


def test_the_question_names_each_images_path_and_size() -> None:
    text = str(Thyme().question(Sample(id="s", question="what?", images=(picture(64, 48), picture(10, 20))))[-1])
    assert '"image_1.png", size: 64x48' in text
    assert '"image_2.png", size: 10x20' in text


async def test_an_image_that_cannot_be_read_is_the_samples_fault() -> None:
    from evalkit import ImageFile

    broken = Sample(id="s", question="what?", images=(ImageFile.from_bytes(b"no image"),))
    done = await ran(Thyme(), Model(ANSWER), ToldTool(OK), sample=broken)
    assert (done.stop, done.prompt) == (StopReason.DATA_ERROR, "what?")


async def test_code_gets_files_and_gives_files() -> None:
    shown = picture(8, 8)
    tool = ToldTool(
        OK,
        ToolResult(status=CallStatus.OK, text="/mnt/data/temp_processed_images/a.png"),
        ToolResult(status=CallStatus.OK, images=(shown,)),
    )
    code = "image_path = '/other.png'\nsave('/mnt/data/temp_processed_images/a.png')"
    model = Model(f"<code>{code}</code>", ANSWER)
    done = await ran(Thyme(), model, tool, limits=FIVE)
    write, run, show = (call["code"] for call in tool.calls)
    assert "'image_1.png'" in write
    assert run == "image_path = 'image_1.png'\nsave('temp_processed_images/a.png')"
    assert "display" in show
    # what is recorded is the model's own
    assert done.turns[0].calls[0].arguments == {"code": code}
    assert done.turns[0].observations[0].images == (shown,)


async def test_refused_code_is_a_quirk_and_a_failed_call() -> None:
    for quirks, runs in ((), 2), (("refused_code",), 0):
        tool = ToldTool(OK)
        session = await Thyme(quirks).equip(tool).open(Sample(id="s", question="q", images=(picture(),)), {})
        result = await session.call({"code": "import sys\nsys.exit()"})
        assert len(tool.calls) == runs
        assert (result.status is CallStatus.FAILED) == bool(quirks)


async def test_code_that_gives_nothing_has_failed() -> None:
    empty = ToolResult(status=CallStatus.OK)
    session = await FileTool(ToldTool(empty)).open(Sample(id="s", question="q"), {})
    assert (await session.call({"code": "x = 1"})).status is CallStatus.FAILED
    lost = ToldTool(OK, ToolResult(status=CallStatus.OK, text="temp_processed_images/a.png"), empty)
    session = await FileTool(lost).open(Sample(id="s", question="q"), {})
    result = await session.call({"code": "print('temp_processed_images/a.png')"})
    assert (result.status, "no image at" in result.error) == (CallStatus.FAILED, True)


def test_printed_paths() -> None:
    assert printed_paths("saved to 'a b/c.PNG', (x.jpg) and x.jpg. y.txt") == ["b/c.PNG", "x.jpg"]


@pytest.mark.parametrize(
    ("code", "clamped"),
    [
        ("box = (-5, 10, 300, 500)", "box = (0, 10, 100, 200)"),
        ("x1, y1, x2, y2 = 90, 90, 20, 20", "x1, y1, x2, y2 = 20, 20, 90, 90"),
        ("crop_box = (10, 10, 20, 20)", "crop_box = (10, 10, 74, 74)"),
        ("crop_box = (95, 10, 99, 90)  # corner", "crop_box = (36, 10, 100, 90)  # corner"),
        ("box = (10, 20, 90, 190)", "box = (10, 20, 90, 190)"),
        ("other = (-5, 10, 300, 500)", "other = (-5, 10, 300, 500)"),
        ("a, b, c, d = -5, 10, 300, 500", "a, b, c, d = -5, 10, 300, 500"),
        ("    bbox = (-5.5, 10, 300, 500)", "    bbox = (0, 10, 100, 200)"),
        ("box = (a, 10, 300, 500)", "box = (a, 10, 300, 500)"),
    ],
)
def test_boxes_written_as_numbers_are_moved_into_the_image(code: str, clamped: str) -> None:
    assert with_clamped_boxes(code, 100, 200) == clamped


@given(st.tuples(*[st.integers(-500, 500)] * 4), st.integers(1, 300), st.integers(1, 300))
def test_a_clamped_box_is_in_the_image_and_large_enough(box: tuple[int, ...], width: int, height: int) -> None:
    code = with_clamped_boxes(f"box = ({', '.join(map(str, box))})", width, height)
    left, top, right, bottom = (int(side) for side in code.partition("(")[2].rstrip(")").split(","))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert right - left >= min(64, width)
    assert bottom - top >= min(64, height)


def test_what_code_is_put_through() -> None:
    assert eight_decimals("f'{x:.2f} {y:.10f}'") == "f'{x:.8f} {y:.10f}'"
    assert mended("  image_path = 'image_1.png'", ["image_1.png"]) == "  image_path = 'image_1.png'"
    assert mended("  image_path = 'x'", ["image_1.png"]) == "  image_path = 'image_1.png'"
    assert mended("image_path = f(1)", ["image_1.png"]) == "image_path = f(1)"
    assert refusal("os.rename(a, b)")
    assert not refusal("system.x; evaluate(1); my_eval(2)")


def test_an_unknown_quirk_is_named() -> None:
    with pytest.raises(EvalkitError, match="hot_retry"):
        Thyme({"hot_retri"})


def test_all_quirks_say_what_they_do() -> None:
    assert Thyme(Thyme.quirks).quirks_on == frozenset(Thyme.quirks)
    assert all(Thyme.quirks.values())


async def test_a_generation_that_runs_into_its_limit_is_no_code() -> None:
    from evalkit.engines import Completion

    cut = Completion(text="<code>a", finish_reason="length")

    def model(request: Request) -> Any:
        return cut if not request.turn else ANSWER

    done = await ran(Bare(), model, ToldTool(OK), limits=FIVE)
    assert done.turns[0].calls[0].status is CallStatus.MALFORMED
    assert (done.restarts, done.stop) == (1, StopReason.ANSWERED)


def test_tags_in_capitals_are_read_beside_any_script() -> None:
    (call,) = Thyme().parse("İ 好 <CODE>print(1)</Code>").calls
    assert call.arguments == {"code": "print(1)"}
