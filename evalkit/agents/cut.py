"""A recorded trajectory's conversation, cut after some of its calls."""

from __future__ import annotations

from evalkit.agents.loop import Agent, shown_as
from evalkit.agents.protocols.base import ParsedCall
from evalkit.engines.base import Message
from evalkit.records import CallStatus, Observation, ToolCall, Trajectory


def conversation(agent: Agent, trajectory: Trajectory, calls: int) -> list[Message]:
    """What follows the question, up to the observation of the last call that is kept; made of the record alone.

    Where a turn has further calls after the one that is the last allowed, they are refused in it as a protocol
    refuses a call beyond its limit: every call keeps a reply.

    Args:
        agent: whose protocol writes the messages.
        trajectory: the agent's own.
        calls: dispatched calls that are kept.
    """
    messages: list[Message] = []
    left = calls
    for turn in trajectory.turns:
        if not left:
            break
        messages.append(Message("assistant", (turn.text,)))
        for index, observation in enumerate(turn.observations):
            call = turn.calls[index] if index < len(turn.calls) else None
            if call is not None and call.status.dispatched:
                observation = observation if left else _refused(agent, call)
                left = max(0, left - 1)
            messages.append(shown_as(agent.protocol.observation_role, observation))
    return messages


def _refused(agent: Agent, call: ToolCall) -> Observation:
    parsed = ParsedCall(tool=call.tool, raw=call.raw, arguments=call.arguments)
    return Observation(text=agent.protocol.refuse(parsed, CallStatus.BLOCKED, tuple(agent.tools)))
