"""The agents of a run: one for each arm, alike but for what makes the arm."""

from __future__ import annotations

import copy

import msgspec

from evalkit.agents.cut import conversation
from evalkit.agents.loop import Agent
from evalkit.records import DIRECT, FORCED, Trajectory, calls_before_answer
from evalkit.runs.arms import Arms, Job


class ArmAgents:
    """The agent under test and its variants.

    Attributes:
        agent: the one under test; it also runs the arms that repeat it.
        arms: what is asked, with the direct arm's system prompt filled in.
    """

    def __init__(self, agent: Agent, arms: Arms, direct_system_prompt: str | None = None) -> None:
        """Make the variants.

        Args:
            agent: the one under test.
            arms: what is asked.
            direct_system_prompt: in place of the protocol's own prompt without tools.
        """
        self.agent = agent
        self._direct = Agent(
            engine=agent.engine,
            protocol=agent.protocol,
            tools={},
            sampling=agent.sampling,
            limits=agent.limits,
            system_prompt=direct_system_prompt,
            budget=agent.budget,
            own_system=direct_system_prompt is None,
        )
        own = arms.temperature(agent.sampling.temperature, repeat=1)
        self._drawn = copy.copy(self._direct)
        self._drawn.sampling = msgspec.structs.replace(agent.sampling, temperature=own)
        self._forced = copy.copy(agent)
        self._forced.insist = True
        self._answering = copy.copy(agent)
        # the prompt and its tool section stay as the agent had them: the conversation is the agent's own
        self._answering.tools = {}
        prompt = self._direct.system_prompt if DIRECT in arms.names else ""
        self.arms = msgspec.structs.replace(arms, direct_system_prompt=prompt)

    async def run(self, job: Job) -> Trajectory:
        """One trajectory.

        Raises:
            EngineUnavailableError: no trajectory can go on.
        """
        if job.cut is not None:
            earlier = conversation(self.agent, job.cut, calls_before_answer(job.arm) or 0)
            return await self._answering.run(job.sample, job.name, earlier, self.agent.protocol.conclude)
        if job.arm == DIRECT:
            return await (self._drawn if job.repeat else self._direct).run(job.sample, job.name)
        return await (self._forced if job.arm == FORCED else self.agent).run(job.sample, job.name)
