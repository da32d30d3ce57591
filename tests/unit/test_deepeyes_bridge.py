"""DeepEyes logs become records: what ran counts as run, and a letter means what the log's prompt shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit import CallStatus, DataSource, ImageFile, Outcome, Sample, StopReason, Task, Trajectory, Verdict
from evalkit.analysis import summarise
from evalkit.bridges._deepeyes_log import Logged, LogRow
from evalkit.bridges._deepeyes_samples import shown_options
from evalkit.bridges._deepeyes_turns import find_calls, trajectory_of
from evalkit.bridges.deepeyes import read_recording
from evalkit.errors import DataError, EvalkitError
from evalkit.reporting import figure_rows
from evalkit.scoring import score_choice
from tests.deepeyes_logs import BOX, CALL, CROP, CUT_CALL, hrbench_row, vstar_row, write_log

ANSWER = "<think>It is red.</think><answer>A. The kite is red.</answer>"
VSTAR = "result_direct_attributes_x.jsonl"


class VStar(Task):
    """A stand-in that scores choices."""

    name = "vstar"

    def samples(self) -> list[Sample]:
        return []

    def score(self, sample: Sample, response: str) -> Outcome:
        return score_choice(response, sample.choices, sample.answer, "t/1")


class HRBench(VStar):
    name = "hrbench_4k"


def task(kind: type[Task] = VStar) -> Task:
    return kind(DataSource(kind="log"), Path())


def trajectory(row: dict[str, Any]) -> Trajectory:
    return trajectory_of(msgspec.convert(row, LogRow))


def statuses(row: dict[str, Any]) -> list[CallStatus]:
    return [call.status for call in trajectory(row).calls]


def test_a_call_followed_by_a_crop_ran_and_its_answer_is_what_is_scored(tmp_path: Path) -> None:
    file = write_log(tmp_path / VSTAR, [vstar_row("k", CALL, CROP, ANSWER, acc="1.0")])
    (record,) = read_recording([file], task()).records
    assert record.sample.id == "direct_attributes/k"
    assert record.sample.category == "direct_attributes"
    assert record.sample.choices == {"A": "The kite is red.", "B": "The kite is blue."}
    assert record.sample.answer == "A"
    first, last = record.trajectory.turns
    (call,) = first.calls
    assert (call.tool, call.status) == ("image_zoom_in_tool", CallStatus.OK)
    assert call.arguments == {"bbox_2d": [10, 20, 110, 220], "label": "kite"}
    assert "Think first" in first.observations[0].text
    assert last.calls == ()
    assert record.outcome.verdict is Verdict.CORRECT
    assert record.outcome.recorded is True
    assert record.trajectory.stop is StopReason.ANSWERED


def test_the_closing_tag_may_be_cut_off_by_the_stop_string() -> None:
    assert statuses(vstar_row("k", CUT_CALL, CROP, ANSWER)) == [CallStatus.OK]


def test_a_call_in_the_answering_turn_ran_though_nobody_saw_the_crop(tmp_path: Path) -> None:
    file = write_log(tmp_path / VSTAR, [vstar_row("k", f"{ANSWER}\n{CUT_CALL}", CROP)])
    recording = read_recording([file], task())
    (record,) = recording.records
    assert [call.status for call in record.trajectory.calls] == [CallStatus.OK]
    assert record.outcome.verdict is Verdict.CORRECT
    assert any("1 of 1 calls that ran stand in the last response" in note for note in recording.notes)


def test_of_many_calls_in_one_turn_only_the_first_ran() -> None:
    (first, *rest) = trajectory(vstar_row("k", CALL * 5, CROP, ANSWER)).calls
    assert first.status is CallStatus.OK
    assert [call.status for call in rest] == [CallStatus.NOT_RUN] * 4
    assert {call.error for call in rest} == {"the runner takes one call a turn"}


def test_a_degenerate_call_that_was_answered_with_a_crop_ran() -> None:
    junk = f"<tool_call>\n{BOX}\n</too\n and more {{\n{BOX}\n</tool_call>l_call>"
    (call,) = trajectory(vstar_row("k", junk, CROP, ANSWER)).calls
    assert call.status is CallStatus.OK
    assert call.arguments["bbox_2d"] == [10, 20, 110, 220]


def test_a_crop_proves_a_call_that_evalkit_cannot_read() -> None:
    (call,) = trajectory(vstar_row("k", "<tool_call>{'name': 'x'}</tool_call>", CROP, ANSWER)).calls
    assert (call.tool, call.status, call.arguments) == ("image_zoom_in_tool", CallStatus.OK, {})
    assert "evalkit cannot" in call.error


def test_words_in_place_of_a_crop_say_that_the_call_failed() -> None:
    (call,) = trajectory(vstar_row("k", CALL, "user: ERROR: box outside\nthe image", ANSWER)).calls
    assert call.status is CallStatus.FAILED
    assert call.error == "ERROR: box outside the image"


def test_a_call_with_nothing_after_it_did_not_run() -> None:
    assert statuses(vstar_row("k", CALL)) == [CallStatus.NOT_RUN]
    assert statuses(vstar_row("k", "<tool_call>{broken")) == [CallStatus.MALFORMED]


def test_a_row_whose_runner_failed_is_an_error_and_keeps_what_is_left_of_the_last_response() -> None:
    lost = trajectory(vstar_row("k", CALL, CROP, status="error", pred_ans=CUT_CALL.replace("look", "peer")))
    assert lost.stop is StopReason.ENGINE_ERROR
    assert lost.error == "the recorded runner ended the row with status 'error'"
    assert [call.status for call in lost.calls] == [CallStatus.OK, CallStatus.FAILED]
    assert "peer" in lost.turns[-1].text


def test_a_row_without_any_response_is_an_error_and_one_with_the_answer_alone_is_scored() -> None:
    assert trajectory(vstar_row("k")).stop is StopReason.ENGINE_ERROR
    assert trajectory(vstar_row("k", pred_ans="A")).response == "A"


def test_eleven_responses_without_an_answer_are_the_runners_limit() -> None:
    assert trajectory(vstar_row("k", *["hm"] * 10)).stop is StopReason.ENDED
    assert trajectory(vstar_row("k", *["hm"] * 11)).stop is StopReason.LIMIT_TURNS


def test_no_time_and_no_token_is_shown_as_zero(tmp_path: Path) -> None:
    file = write_log(tmp_path / VSTAR, [vstar_row("k", CALL, CROP, ANSWER)])
    summary = summarise(task(), "m", 191, read_recording([file], task()).records)
    assert all(spread.n == 0 for spread in (*summary.latency.values(), *summary.tokens.values()))
    shown = {row.name: row.value for row in figure_rows(summary)}
    assert shown["latency, tokens"] == "not available"
    assert not any("0.00 s" in value for value in shown.values())


def test_the_recorded_verdict_stands_beside_evalkits_and_every_disagreement_is_counted(tmp_path: Path) -> None:
    wrong = "<answer>B. The kite is blue.</answer>"
    rows = [
        vstar_row("a", ANSWER, acc="1.0"),
        vstar_row("b", ANSWER, acc=0),
        vstar_row("c", wrong, acc=1.0),
        vstar_row("d", wrong, acc="0.0"),
        vstar_row("e", wrong),
        vstar_row("f", status="error", acc=0),
    ]
    records = read_recording([write_log(tmp_path / VSTAR, rows)], task()).records
    assert [record.outcome.recorded for record in records] == [True, False, True, False, None, False]
    found = summarise(task(), "m", 6, records).recorded
    assert found is not None
    assert (found.n, found.right, found.compared, found.agree) == (5, 2, 4, 2)
    assert (found.only_here, found.only_there) == (1, 1)
    assert found.differing == ("direct_attributes/b", "direct_attributes/c")
    shown = {row.name: row.value for row in figure_rows(summarise(task(), "m", 6, records))}
    assert shown["accuracy, as recorded"] == "40.0%"
    assert shown["agreement with the recording"] == "2 of 4 rows (1 right only here, 1 only there)"


def test_an_answer_letter_means_what_the_log_shows_whatever_order_the_data_set_has(tmp_path: Path) -> None:
    file = write_log(tmp_path / VSTAR, [vstar_row("k", "<answer>A</answer>")])
    own = Sample(
        id="direct_attributes/k",
        question="What is the colour of kite k?\nA. The kite is blue.\nB. The kite is red.",
        images=(ImageFile(lambda: b"", "k.jpg"),),
        answer="B",
        choices={"A": "The kite is blue.", "B": "The kite is red."},
        metadata={"extra": "kept"},
    )
    (record,) = read_recording([file], task(), [own]).records
    assert record.outcome.verdict is Verdict.CORRECT
    assert record.sample.choices["A"] == "The kite is red."
    assert record.sample.images == own.images
    assert record.sample.metadata == {"extra": "kept"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "direct_attributes/other"}, "no row direct_attributes/k"),
        ({"question": "What else?"}, "asks something else"),
        ({"choices": {"A": "The kite is red.", "B": "The kite is green."}}, "asks something else"),
        ({"answer": "B"}, "asks something else"),
    ],
)
def test_a_log_of_other_questions_is_not_joined(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    file = write_log(tmp_path / VSTAR, [vstar_row("k", ANSWER)])
    (record,) = read_recording([file], task()).records
    with pytest.raises(DataError, match=said):
        read_recording([file], task(), [msgspec.structs.replace(record.sample, **change)])


def test_hrbench_rows_are_known_by_their_place(tmp_path: Path) -> None:
    file = write_log(tmp_path / "result_hr_bench_4k_x.jsonl", [hrbench_row(i, "<answer>A</answer>") for i in range(8)])
    records = read_recording([file], task(HRBench)).records
    assert [record.sample.id for record in records] == [str(i) for i in range(8)]
    assert [record.sample.cluster for record in records] == ["q0"] * 4 + ["q4"] * 4
    assert [record.sample.metadata["cycle"] for record in records] == list("01230123")
    assert [record.outcome.verdict for record in records[:4]] == [Verdict.CORRECT] + [Verdict.INCORRECT] * 3


def test_an_hrbench_row_that_is_missing_is_found_by_its_letter_or_with_the_data(tmp_path: Path) -> None:
    rows = [hrbench_row(i, "<answer>A</answer>") for i in range(8)]
    whole = read_recording([write_log(tmp_path / "hrbench_4k.jsonl", rows)], task(HRBench)).records
    torn = write_log(tmp_path / "torn.jsonl", rows[:2] + rows[3:])
    with pytest.raises(DataError, match=r"torn\.jsonl line 3 does not go on with the question before it"):
        read_recording([torn], task(HRBench))
    joined = read_recording([torn], task(HRBench), [record.sample for record in whole]).records
    assert [record.sample.id for record in joined] == ["0", "1", "3", "4", "5", "6", "7"]


def test_a_question_that_the_data_has_once_and_the_log_twice_is_refused(tmp_path: Path) -> None:
    rows = [hrbench_row(i, "<answer>A</answer>") for i in range(4)]
    data = [r.sample for r in read_recording([write_log(tmp_path / "a.jsonl", rows)], task(HRBench)).records]
    twice = write_log(tmp_path / "b.jsonl", [*rows, rows[0]])
    with pytest.raises(DataError, match=r"b.jsonl line 5: no row of the data set asks this, or the log has it more"):
        read_recording([twice], task(HRBench), data)


def test_options_may_have_several_lines_and_be_empty_of_words(tmp_path: Path) -> None:
    row = vstar_row("k", ANSWER)
    text = "Question: Which?\nOptions: \nA. one\nB. two\n  B. more of two\nC. \n\n\nThink first, then answer."
    row["question"], row["pred_output"][1]["content"][1]["text"] = "Which?", text
    logged = Logged(tmp_path, 1, msgspec.convert(row, LogRow))
    assert shown_options(logged) == {"A": "one", "B": "two\n  B. more of two", "C": ""}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (vstar_row("k", ANSWER, image=None), "no row of vstar"),
        (vstar_row("k", ANSWER, answer="The kite is green."), "not among the options"),
        (vstar_row("k", ANSWER, acc="maybe"), "neither 1 nor 0"),
        (vstar_row("k", ANSWER, acc=float("nan")), "acc is 'nan', neither 1 nor 0"),
        (vstar_row("k", ANSWER, question="Another?"), "does not show the row's question"),
        (vstar_row("k", ANSWER, image="noname"), "not the name of an image"),
        (vstar_row("k", ANSWER, pred_output=[]), "no question to the model"),
        (vstar_row("k", ANSWER, pred_output=[{"role": "tool", "content": ""}]), "unknown role 'tool'"),
        (vstar_row("k", ANSWER, pred_output="gone"), "not a row of a DeepEyes log"),
        ({"id": 1, "response": "A"}, "not a row of a DeepEyes log: Object missing required field"),
        ([], "not a row of a DeepEyes log"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_with_file_and_line(tmp_path: Path, row: Any, said: str) -> None:
    with pytest.raises(DataError, match=said) as raised:
        read_recording([write_log(tmp_path / VSTAR, [row])], task())
    assert f"{VSTAR} line 1" in str(raised.value)


def test_rows_of_another_task_or_another_resolution_are_refused(tmp_path: Path) -> None:
    boats = write_log(tmp_path / "result_hr_bench_8k_x.jsonl", [hrbench_row(0, ANSWER)])
    kites = write_log(tmp_path / VSTAR, [vstar_row("k", ANSWER)])
    with pytest.raises(DataError, match="holds rows of 8K, not of task hrbench_4k"):
        read_recording([boats], task(HRBench))
    with pytest.raises(DataError, match="no row of hrbench_4k"):
        read_recording([kites], task(HRBench))
    with pytest.raises(DataError, match="no row of vstar"):
        read_recording([boats], task())
    unnamed = write_log(tmp_path / "kites.jsonl", [vstar_row("k", ANSWER)])
    with pytest.raises(DataError, match="cannot tell the category"):
        read_recording([unnamed], task())


def test_a_double_row_is_named_with_both_places(tmp_path: Path) -> None:
    file = write_log(tmp_path / VSTAR, [vstar_row("a", ANSWER), vstar_row("b", ANSWER), vstar_row("a", ANSWER)])
    with pytest.raises(DataError, match=r"line 3: row direct_attributes/a is double, .*line 1 has it too"):
        read_recording([file], task())


def test_deepeyes_has_logs_of_two_benchmarks_only(tmp_path: Path) -> None:
    class Other(VStar):
        name = "wemath"

    with pytest.raises(EvalkitError, match="vstar, hrbench_4k, hrbench_8k, not for wemath"):
        read_recording([write_log(tmp_path / VSTAR, [vstar_row("k", ANSWER)])], task(Other))


@given(st.lists(st.sampled_from(["<tool_call>", "</tool_call>", BOX, BOX[:30], "{", "[", '"', "\n", "x"]), max_size=30))
def test_any_mixture_of_tags_and_pieces_is_read_as_one_call_per_opening_tag(pieces: list[str]) -> None:
    text = "".join(pieces)
    calls = find_calls(text)
    assert len(calls) == text.count("<tool_call>")
    assert all(call.error or call.tool == "image_zoom_in_tool" for call in calls)


@given(st.text(alphabet='<>/tool_caansewr{}[]":1 \n', max_size=200))
def test_no_text_of_a_response_breaks_the_reading(text: str) -> None:
    read = trajectory(vstar_row("k", text or "x", CROP, ANSWER))
    assert json.dumps([call.raw for call in read.calls])
    assert sum(call.status.dispatched for call in read.calls) <= 1
