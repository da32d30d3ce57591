"""What a DeepEyes log shows of one trajectory: turns, tool calls, and what became of each call.

The runner (Visual-Agent/DeepEyes, eval/eval_vstar.py and eval/eval_hrbench.py) asks until a response holds
`</answer>`, eleven times at most. Where a response holds `<tool_call>`, it crops the box of the first call
and answers with a user turn that shows the crop, also where the same response holds the answer: that crop
nobody sees. Any failure of a call ends the row with status "error"; the response in which it happened is
then not in the chat, and `pred_ans` is what is left of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from evalkit.agents.protocols.base import ParsedCall
from evalkit.agents.protocols.deepeyes import TOOL, find_calls, has_answer
from evalkit.bridges._deepeyes_log import SUCCESS, LogRow, Message
from evalkit.errors import one_line
from evalkit.records import CallStatus, Observation, StopReason, Timing, ToolCall, Trajectory, Turn

MOST_TURNS = 11
ONE_CALL = "the runner takes one call a turn"
FAILED_AT = "the runner failed at this call"
UNKNOWN = Timing(generate_s=None, tool_s=None)


def trajectory_of(row: LogRow) -> Trajectory:
    """The trajectory that a row records. Times and tokens are unknown, images are not kept in the log."""
    asked = next(index for index, message in enumerate(row.pred_output) if message.role == "user")
    turns = [_answered(text, replies) for text, replies in _exchanges(row.pred_output[asked + 1 :])]
    if lost := _lost_response(row, turns):
        failed = row.status != SUCCESS
        turns.append(_turn(lost, CallStatus.FAILED if failed else None, error=FAILED_AT if failed else ""))
    stop, error = _ending(row, turns)
    return Trajectory(
        prompt=row.pred_output[asked].text,
        stop=stop,
        turns=tuple(turns),
        error=error,
        started_at=None,
        total_s=None,
    )


def _exchanges(messages: Sequence[Message]) -> Iterator[tuple[str, list[Message]]]:
    """Each response with the user turns that follow it."""
    text, replies = None, list[Message]()
    for message in messages:
        if message.role != "assistant":
            replies.append(message)
            continue
        if text is not None:
            yield text, replies
        text, replies = message.text, []
    if text is not None:
        yield text, replies


def _turn(text: str, fate: CallStatus | None, shown: str | None = None, error: str = "") -> Turn:
    """A response of which one call met `fate`: the first that can be read. None: no call was run."""
    found = find_calls(text)
    ran = next((index for index, call in enumerate(found) if not call.error), 0) if fate is not None else None
    calls = []
    for index, call in enumerate(found):
        if fate is not None and index == ran:
            calls.append(_ran(call, fate, error))
        else:
            status = CallStatus.MALFORMED if call.error else CallStatus.NOT_RUN
            calls.append(_call(call, status, call.error or ("" if fate is None else ONE_CALL)))
    observations = [Observation()] * max(len(calls), 1)
    if shown is not None:
        observations[ran or 0] = Observation(text=shown)
    return Turn(
        text=text,
        calls=tuple(calls),
        observations=tuple(observations) if shown is not None else (),
        timing=UNKNOWN,
    )


def _answered(text: str, replies: Sequence[Message]) -> Turn:
    """A response and the user turns after it: a crop is the proof that a call ran, words say that it failed."""
    if not replies:
        return _turn(text, None)
    shown = "\n".join(reply.text for reply in replies)
    if any(reply.has_image for reply in replies):
        return _turn(text, CallStatus.OK, shown)
    return _turn(text, CallStatus.FAILED, shown, shown)


def _ran(call: ParsedCall, fate: CallStatus, error: str) -> ToolCall:
    if call.error:
        # the runner made something of it, and the tool it has is this one
        unread = msgspec.structs.replace(call, tool=call.tool or TOOL)
        return _call(unread, fate, error or f"the runner could read it, evalkit cannot: {call.error}")
    return _call(call, fate, error)


def _call(call: ParsedCall, status: CallStatus, error: str) -> ToolCall:
    return ToolCall(
        tool=call.tool,
        raw=call.raw,
        arguments=call.arguments,
        status=status,
        seconds=None if status.dispatched else 0.0,
        error=one_line(error),
    )


def _lost_response(row: LogRow, turns: Sequence[Turn]) -> str:
    """What `pred_ans` keeps of a last response that the chat does not show."""
    last = turns[-1].text if turns else ""
    kept = row.pred_ans or ""
    return kept if kept and (not turns or (row.status != SUCCESS and kept not in last)) else ""


def _ending(row: LogRow, turns: Sequence[Turn]) -> tuple[StopReason, str]:
    if row.status != SUCCESS:
        return StopReason.ENGINE_ERROR, f"the recorded runner ended the row with status {one_line(row.status, 60)!r}"
    if not turns:
        return StopReason.ENGINE_ERROR, "the log holds no response"
    if has_answer(turns[-1].text):
        return StopReason.ANSWERED, ""
    if len(turns) >= MOST_TURNS:
        return StopReason.LIMIT_TURNS, f"no answer within {MOST_TURNS} turns"
    return StopReason.ENDED, ""
