"""What happened when: a trajectory as Inspect's events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from inspect_ai.event import ModelEvent, ToolEvent
from inspect_ai.model import ChatCompletionChoice, GenerateConfig, ModelOutput, ModelUsage
from inspect_ai.tool import ToolInfo

from evalkit.bridges.inspect.conversation import Conversation, Exchange
from evalkit.records import Trajectory, Turn, Usage

_STOPS = {"stop": "stop", "length": "max_tokens", "tool_calls": "tool_calls", "content_filter": "content_filter"}


def events(trajectory: Trajectory, talk: Conversation, model: str, tools: list[ToolInfo]) -> list[Any]:
    """Every generation and every tool call with its beginning and end; none where a time is not known.

    Args:
        trajectory: of a record.
        talk: its messages.
        model: its name.
        tools: those offered.
    """
    if not trajectory.started_at or any(turn.timing.generate_s is None for turn in trajectory.turns):
        return []
    if any(call.seconds is None for call in trajectory.calls):
        return []
    start = datetime.fromtimestamp(trajectory.started_at, UTC)
    found: list[Any] = []
    passed, seen = 0.0, list(talk.before)
    for turn, exchange, part in zip(trajectory.turns, talk.exchanges, talk.parts(), strict=True):
        if talk.asked_again in part:
            seen.append(talk.asked_again)
        found.append(_generation(turn, exchange, seen, model, tools, start, passed))
        passed += turn.timing.generate_s or 0.0
        for call, made, result in exchange.results:
            seconds = call.seconds or 0.0
            begin = start + timedelta(seconds=passed)
            content: Any = result.content
            found.append(
                ToolEvent(
                    uuid=f"{result.id}.event",
                    timestamp=begin,
                    working_start=passed,
                    id=result.tool_call_id or "",
                    function=result.function or "",
                    arguments=made.arguments,
                    result=content,
                    error=result.error,
                    completed=begin + timedelta(seconds=seconds),
                    working_time=seconds,
                    message_id=result.id,
                )
            )
            passed += seconds
        seen.extend(message for message in part if message is not talk.asked_again)
    return found


def output(turn: Turn, text: str, said: Any, model: str) -> ModelOutput:
    """A generation's output.

    Args:
        turn: the generation.
        text: what counts of it.
        said: its message.
        model: its name.
    """
    message = said if said.content == text else said.model_copy(update={"content": text})
    stop: Any = _STOPS.get(turn.finish_reason, "unknown")
    return ModelOutput(
        model=model,
        choices=[ChatCompletionChoice(message=message, stop_reason=stop)],
        usage=usage(turn.usage),
        time=turn.timing.generate_s,
    )


def usage(tokens: Usage) -> ModelUsage | None:
    """Tokens as Inspect counts them; None where they are not known."""
    if tokens.prompt_tokens is None or tokens.completion_tokens is None:
        return None
    total = tokens.prompt_tokens + tokens.completion_tokens
    return ModelUsage(input_tokens=tokens.prompt_tokens, output_tokens=tokens.completion_tokens, total_tokens=total)


def _generation(
    turn: Turn, exchange: Exchange, seen: list[Any], model: str, tools: list[ToolInfo], start: datetime, passed: float
) -> ModelEvent:
    seconds = turn.timing.generate_s or 0.0
    begin = start + timedelta(seconds=passed)
    return ModelEvent(
        uuid=f"{exchange.said.id}.event",
        timestamp=begin,
        working_start=passed,
        model=model,
        input=list(seen),
        tools=tools,
        tool_choice="auto",
        config=GenerateConfig(temperature=turn.temperature),
        output=output(turn, turn.text, exchange.said, model),
        retries=turn.retries or None,
        completed=begin + timedelta(seconds=seconds),
        working_time=seconds,
    )
