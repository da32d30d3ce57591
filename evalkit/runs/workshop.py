"""All that one process needs to run trajectories, made from plain data: here, or in a replica elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import msgspec

from evalkit.agents import Agent
from evalkit.agents.protocols import protocol
from evalkit.engines import Engine
from evalkit.errors import EvalkitError
from evalkit.models import ModelCard
from evalkit.records import Trajectory
from evalkit.runs.agents import ArmAgents
from evalkit.runs.arms import Arms, Job
from evalkit.runs.pixels import budget_for
from evalkit.runs.searches import Searches, offered
from evalkit.runs.setup import EngineSettings, make_engine, make_sandbox, make_tools
from evalkit.sandbox import Capabilities


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a workshop is to run; plain data, so that it can be read in another process.

    Attributes:
        card: the model, and the limits of its agent.
        settings: where and how the engine runs.
        quirks: those of the protocol's authors' code that are followed.
        arms: what is asked.
        sandbox: see `make_sandbox`.
        unsafe_no_isolation: the model's code may run where nothing keeps it in.
        search: provider of text searches; empty for none.
        image_search: provider of image searches; empty for none.
        system_prompt: in place of the protocol's own.
        direct_system_prompt: likewise, for the direct arm.
    """

    card: ModelCard
    settings: EngineSettings
    arms: Arms = Arms()
    quirks: tuple[str, ...] = ()
    sandbox: str = "local"
    unsafe_no_isolation: bool = False
    search: str = ""
    image_search: str = ""
    system_prompt: str | None = None
    direct_system_prompt: str | None = None


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What the parts of a workshop said at start.

    Attributes:
        engine: see `Engine.start`.
        capabilities: of the sandbox; None where the agent runs no code.
        sandbox: kind and limits; empty likewise.
    """

    engine: dict[str, Any]
    capabilities: Capabilities | None = None
    sandbox: dict[str, Any] = {}

    @property
    def record(self) -> dict[str, Any]:
        """What a run records of the sandbox; empty without one."""
        return {**msgspec.to_builtins(self.capabilities), **self.sandbox} if self.capabilities else {}


class Workshop:
    """Engine, sandbox and agents, and the trajectories that they run.

    Args:
        order: what to run.
        searches: the agent's search tools, started and closed by whoever made them.
        engine: in place of the order's own.

    Attributes:
        replicas: how many run trajectories, each with a concurrency of its own.

    Raises:
        EvalkitError: something that the order names is not here.
    """

    replicas = 1

    def __init__(self, order: Order, searches: Searches, engine: Engine | None = None) -> None:
        self.order = order
        self.protocol = protocol(order.card.protocol, order.quirks)
        self.engine = engine or make_engine(order.card, order.settings)
        self._sandbox = make_sandbox(order.sandbox, order.unsafe_no_isolation)
        self.wanted = offered(order.card)
        self.tools = make_tools(self.wanted, self._sandbox, self.protocol.zoom, searches)
        self._agents: ArmAgents | None = None

    async def start(self, status: Callable[[str], AbstractContextManager[object]] = nullcontext) -> Opened:
        """Start the sandbox, where the protocol can use it, and the engine.

        Args:
            status: shows what goes on.

        Raises:
            EvalkitError: one of them does not start, or code would run without isolation unasked.
        """
        capabilities = None
        if "python" in self.wanted:
            with status("probing the sandbox"):
                capabilities = await self._sandbox.start()
            if not capabilities.isolated and not self.order.unsafe_no_isolation:
                raise EvalkitError(
                    f"--sandbox {self.order.sandbox} does not isolate the model's code (tier {capabilities.tier}); "
                    "use --sandbox local, or accept what it may do with --unsafe-no-isolation"
                )
        with status(f"starting {self.order.card.name} ({self.order.card.engine})"):
            engine = await self.engine.start()
        opened = Opened(
            engine=engine, capabilities=capabilities, sandbox=self._sandbox.describe() if capabilities else {}
        )
        self.furnish(engine)
        return opened

    def furnish(self, engine: dict[str, Any]) -> None:
        """Make the agents.

        Args:
            engine: what the engine said at start.
        """
        agent = Agent(
            engine=self.engine,
            protocol=self.protocol,
            tools=self.tools,
            sampling=self.order.card.sampling,
            limits=self.order.card.limits,
            system_prompt=self.order.system_prompt,
            budget=budget_for(self.order.card, engine),
        )
        self._agents = ArmAgents(agent, self.order.arms, self.order.direct_system_prompt)

    @property
    def agents(self) -> ArmAgents:
        """By arm; there once it is started."""
        assert self._agents is not None
        return self._agents

    @property
    def agent(self) -> Agent:
        """The one under test."""
        return self.agents.agent

    @property
    def arms(self) -> Arms:
        """What is asked, with the direct arm's system prompt filled in."""
        return self.agents.arms

    async def run(self, job: Job) -> Trajectory:
        """One trajectory.

        Raises:
            EngineUnavailableError: no trajectory can go on.
        """
        return await self.agents.run(job)

    async def warm_up(self, job: Job) -> None:
        """Run a trajectory that counts for nothing: an engine is slow on its first request, whatever that is."""
        await self.run(job)

    def facts(self) -> dict[str, Any]:
        """What came to light of the engine since the start."""
        facts = getattr(self.engine, "facts", None)
        return {} if facts is None else {"servers": facts()}

    async def close(self) -> None:
        """Free everything; safe to call twice."""
        try:
            await self.engine.close()
        finally:
            await self._sandbox.close()
