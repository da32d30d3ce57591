"""A recorded trajectory's conversation, cut after some of its calls."""

from __future__ import annotations

from evalkit.agents.conversation import extend
from evalkit.agents.loop import Agent
from evalkit.agents.protocols.base import ParsedCall
from evalkit.engines.base import Message
from evalkit.records import CallStatus, Observation, ToolCall, Trajectory


def conversation(agent: Agent, trajectory: Trajectory, calls: int) -> list[Message]:
    """What follows the question, up to the observation of the last call that is kept; made of the record alone.

    Where a turn has further calls after the one that is the last allowed, they are refused in it as a protocol
    refuses a call beyond its limit: every call keeps a reply. Turns that the protocol took out are left out here too;
    their calls count.

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
        if turn.discarded:
            left = max(0, left - sum(call.status.dispatched for call in turn.calls))
            continue
        extend(messages, "assistant", (turn.text,))
        for index, observation in enumerate(turn.observations):
            call = turn.calls[index] if index < len(turn.calls) else None
            if call is not None and call.status.dispatched:
                observation = observation if left else _refused(agent, call)
                left = max(0, left - 1)
            extend(messages, agent.protocol.observation_role, agent.protocol.show(observation))
    return messages


def _refused(agent: Agent, call: ToolCall) -> Observation:
    parsed = ParsedCall(tool=call.tool, raw=call.raw, arguments=call.arguments)
    return Observation(text=agent.protocol.refuse(parsed, CallStatus.BLOCKED, tuple(agent.tools)))
