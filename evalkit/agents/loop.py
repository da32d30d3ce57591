"""One trajectory: generate, read the calls, run them, show the results, until an answer or a limit."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence

import msgspec

from evalkit.agents.conversation import extend, question
from evalkit.agents.hands import Hands, clean, not_run
from evalkit.agents.ledger import Arrival, shown
from evalkit.agents.limits import Limits
from evalkit.agents.protocols.after import After, Step, TurnEnd
from evalkit.agents.protocols.base import Protocol, Reply
from evalkit.engines.base import Completion, Engine, Message, Request, Sampling
from evalkit.engines.pixels import PixelBudget
from evalkit.errors import (
    ContextLengthError,
    DataError,
    EngineError,
    EngineUnavailableError,
    SandboxError,
    one_line,
)
from evalkit.images import ImageFile
from evalkit.records import Observation, Sample, StopReason, Trajectory, Turn
from evalkit.tools.base import Tool
from evalkit.tools.toolbox import Toolbox


class Agent:
    """A model under a protocol, with tools and limits; `run` may be called for many samples at once."""

    def __init__(
        self,
        *,
        engine: Engine,
        protocol: Protocol,
        tools: Mapping[str, Tool],
        sampling: Sampling,
        limits: Limits,
        system_prompt: str | None = None,
        budget: PixelBudget | None = None,
        insist: bool = False,
        own_system: bool = True,
    ) -> None:
        """Set up the agent.

        Args:
            engine: started already.
            protocol: the model family's way to talk.
            tools: what can be had; the protocol's tools among them are offered.
            sampling: how tokens are drawn.
            limits: what one trajectory may use.
            system_prompt: in place of the protocol's own.
            budget: of the model's image processor, where the engine does not tell what images become.
            insist: a call is required: the question says so, and a first turn without one is sent back once.
            own_system: a sample that brings a system prompt is asked with that.
        """
        self.engine = engine
        self.protocol = protocol
        self.tools = {name: protocol.equip(tools[name]) for name in protocol.tools if name in tools}
        self.sampling = sampling
        self.limits = limits
        self.budget = budget
        self.insist = insist
        self.own_system = own_system
        self.without_tools = not self.tools
        specs = [tool.spec for tool in self.tools.values()]
        self.system_prompt = protocol.system_prompt(specs) if system_prompt is None else system_prompt
        self.declarations = tuple(spec.declaration() for spec in specs) if protocol.native_tools else ()

    def system_for(self, sample: Sample) -> str:
        """The system prompt on a sample; empty for none."""
        return (sample.system if self.own_system else "") or self.system_prompt

    async def run(self, sample: Sample, key: str, earlier: Sequence[Message] = (), ask: str = "") -> Trajectory:
        """One trajectory on `sample`.

        Failures of the engine, the sandbox or the sample's data end the trajectory and are recorded in it.

        Args:
            sample: what to solve.
            key: the trajectory's name for the engine.
            earlier: what follows the question in a conversation that is gone on with. It is not recorded again:
                the trajectory's prompt is the last message before the new turns.
            ask: said by the user at the end of all that.

        Raises:
            EngineUnavailableError: no trajectory can go on.
        """
        return await _Run(self, sample, key, earlier, ask or (self.protocol.insist if self.insist else "")).run()


class _Run:
    """The state of one trajectory."""

    def __init__(self, agent: Agent, sample: Sample, key: str, earlier: Sequence[Message], ask: str) -> None:
        self.agent = agent
        self.protocol = agent.protocol
        self.limits = agent.limits
        self.sample = sample
        self.key = key
        toolbox = Toolbox(tuple(agent.tools.values()), sample, self.protocol.names, self.protocol.aliases)
        self.hands = Hands(toolbox, tuple(agent.tools), self.protocol, self.limits, len(sample.images))
        self.earlier = earlier
        self.ask = ask
        self.prompt = sample.question
        self.messages: list[Message] = []
        self.turns: list[Turn] = []
        self.tries = 0
        self.fallback = ""
        self.temperature: float | None = None
        self.spent_s = 0.0
        self.replayed_s = 0.0
        self.begin()

    def begin(self) -> None:
        """Begin a conversation: what counts within one try starts at nothing."""
        self.first = len(self.turns)
        self.prompt_tokens: int | None = None
        self.context_tokens: int | None = None
        self.context_before: int | None = None

    async def run(self) -> Trajectory:
        started, clock = time.time(), time.perf_counter()
        try:
            await self.open()
            started, clock = time.time(), time.perf_counter()
            stop, error = await self.converse()
        except EngineUnavailableError:
            raise
        except ContextLengthError as problem:
            stop, error = StopReason.LIMIT_TOKENS, f"turn {len(self.turns) + 1}: {one_line(problem)}"
        except EngineError as problem:
            stop, error = StopReason.ENGINE_ERROR, one_line(problem)
        except SandboxError as problem:
            stop, error = StopReason.SANDBOX_ERROR, one_line(problem)
        except DataError as problem:
            stop, error = StopReason.DATA_ERROR, one_line(problem)
        finally:
            await self.hands.empty()
        return Trajectory(
            prompt=self.prompt,
            stop=stop,
            turns=tuple(self.turns),
            error=error,
            started_at=started,
            total_s=time.perf_counter() - clock + self.replayed_s,
            restarts=self.tries,
            fallback=self.fallback,
            final=self.final(stop),
        )

    def final(self, stop: StopReason) -> str:
        """What is scored, where that is not the last turn's text."""
        if stop not in (StopReason.ANSWERED, StopReason.ENDED) or not self.turns:
            return ""
        text = self.turns[-1].text
        final = self.protocol.final(text, fallback=bool(self.fallback))
        return "" if final == text else final

    def say(self, text: str) -> None:
        """The user's words, as a paragraph of the last message if that is the user's too.

        Some chat templates refuse two messages of one role in a row, and servers join a message's texts as they
        please.
        """
        last = self.messages[-1]
        if last.role != "user":
            self.messages.append(Message("user", (text,)))
        elif last.parts and isinstance(last.parts[-1], str):
            self.messages[-1] = Message("user", (*last.parts[:-1], f"{last.parts[-1]}\n\n{text}"))
        else:
            self.messages[-1] = Message("user", (*last.parts, text))

    async def open(self) -> None:
        """The conversation up to the first turn; every image's header is read, so that a broken one costs nothing."""
        sample = self.sample
        for image in sample.images:
            await image.inspect()
        asked = question(self.protocol, sample, self.agent.without_tools)
        self.messages = [Message("user", asked), *self.earlier]
        if self.ask:
            self.say(self.ask)
        self.prompt = self.messages[-1].text
        for message in self.messages:
            for image in message.images:
                await image.inspect()
        if system := self.agent.system_for(sample):
            self.messages.insert(0, Message("system", (system,)))
        self.opening = tuple(self.messages)
        if not self.earlier:
            self.hands.arrivals = [Arrival(part, part) for part in asked if isinstance(part, ImageFile)]

    async def converse(self) -> tuple[StopReason, str]:
        """Turns until the end; every turn is kept as soon as it is complete."""
        while True:
            budget = self.token_budget()
            if budget <= 0:
                return StopReason.LIMIT_TOKENS, f"{self.limits.trajectory_tokens} tokens used"
            *told, turn = self.protocol.unfold(await self.generate(budget))
            self.turns += told
            if (end := await self.take(turn)) is not None:
                return end

    async def take(self, turn: Turn) -> tuple[StopReason, str] | None:
        """Read a turn and do what it asks for; the end, if it is the last."""
        reply = self.protocol.parse(turn.text)
        if self.spent_s + self.hands.spent_s > self.limits.seconds:
            self.turns.append(msgspec.structs.replace(turn, calls=not_run(reply, "the time is used up")))
            return self.out_of_time()
        if self.must_call(reply, turn):
            self.turns.append(self.send_back(turn))
            return None
        if self.fallback or not self.agent.tools:
            self.turns.append(msgspec.structs.replace(turn, calls=not_run(reply, "no tools are offered")))
            return self.ending(reply, turn)
        if reply.last or (reply.answered and not self.goes_on(reply, turn)):
            self.turns.append(msgspec.structs.replace(turn, calls=not_run(reply, "the turn is the last")))
            return self.ending(reply, turn)
        return await self.follow(reply, turn)

    async def follow(self, reply: Reply, turn: Turn) -> tuple[StopReason, str] | None:
        """Run the calls of a turn without an answer, and go on as the protocol wants."""
        last = self.turns_left() <= 1
        runnable, images = self.goes_on(reply, turn), self.hands.images
        if runnable and not last:
            turn = await self.hands.act(reply, turn)
        else:
            why = "no turns are left" if runnable else "the generation was cut off"
            turn = msgspec.structs.replace(turn, calls=not_run(reply, why))
        if self.spent_s + self.hands.spent_s > self.limits.seconds:
            self.turns.append(turn)
            return self.out_of_time()
        after = self.protocol.after(
            TurnEnd(
                reply=reply,
                ran=runnable and not last,
                calls=turn.calls,
                images=self.hands.images - images,
                cut=turn.finish_reason == "length",
                turn=len(self.turns) - self.first,
                last=last,
                tries=self.tries,
                calls_so_far=len(turn.calls) + sum(len(earlier.calls) for earlier in self.turns[self.first :]),
                images_so_far=self.hands.images,
            )
        )
        if after.step is Step.GO_ON and runnable and not last:
            self.turns.append(turn)
            for observation in turn.observations:
                extend(self.messages, self.protocol.observation_role, self.protocol.show(observation))
            return None
        # what the calls gave is not shown
        turn = msgspec.structs.replace(turn, observations=())
        self.hands.take_back(images)
        if after.step is Step.AGAIN and not last:
            self.turns.append(msgspec.structs.replace(turn, discarded=after.why))
            self.messages[:], self.context_tokens = self.sent, self.context_before
            self.redraw(after)
            return None
        if after.step in (Step.RESTART, Step.FALL_BACK):
            self.turns.append(turn)
            await self.start_over(after)
            return None
        self.turns.append(turn)
        if after.stop is not None:
            return after.stop, after.why
        if runnable and last:
            return StopReason.LIMIT_TURNS, f"no answer within {self.limits.turns} turns"
        return self.ending(reply, turn)

    def turns_left(self) -> int:
        """Generations that this try may still have, the one at hand included."""
        return self.limits.turns - (len(self.turns) - self.first)

    async def start_over(self, after: After) -> None:
        """Take the whole try out of the conversation and begin the next one, or the question without tools."""
        for index in range(self.first, len(self.turns)):
            turn = self.turns[index]
            self.turns[index] = msgspec.structs.replace(turn, discarded=turn.discarded or after.why)
        await self.hands.empty()
        if after.step is Step.RESTART:
            self.tries += 1
            self.messages[:] = self.opening
            self.redraw(after)
        else:
            question = self.protocol.fallback(self.sample)
            self.messages[:] = [Message("user", question)]
            self.fallback = self.messages[0].text
            self.temperature = None
        self.begin()

    def redraw(self, after: After) -> None:
        """Take over the temperature that the protocol wants from here on."""
        self.temperature = self.temperature if after.temperature is None else after.temperature

    def out_of_time(self) -> tuple[StopReason, str]:
        """The end when the agent's own time is used up."""
        return StopReason.LIMIT_TIME, f"no answer within {self.limits.seconds:g} s"

    def goes_on(self, reply: Reply, turn: Turn) -> bool:
        """Whether the turn's calls are run: a call cut off by the token limit is not one."""
        cut = turn.finish_reason == "length" and all(call.error for call in reply.calls)
        return bool(reply.calls) and bool(self.agent.tools) and not cut

    def must_call(self, reply: Reply, turn: Turn) -> bool:
        """Whether a call is required and the first turn, come to its own end, has none."""
        first = self.agent.insist and not self.fallback and len(self.turns) == self.first and self.turns_left() > 1
        return first and not reply.calls and turn.finish_reason != "length"

    def send_back(self, turn: Turn) -> Turn:
        """Ask for the call that the turn should have had."""
        self.say(self.protocol.insist_again)
        return msgspec.structs.replace(turn, observations=(Observation(text=self.protocol.insist_again),))

    def ending(self, reply: Reply, turn: Turn) -> tuple[StopReason, str]:
        """Why a turn without runnable calls is the last."""
        if reply.answered:
            return StopReason.ANSWERED, ""
        if turn.finish_reason == "length":
            return StopReason.LIMIT_TOKENS, "the generation was cut off before an answer"
        return StopReason.ENDED, ""

    def token_budget(self) -> int:
        """Tokens the next generation may have; the engine's counts decide where it gives them."""
        left = self.limits.trajectory_tokens
        if self.prompt_tokens is not None and self.context_tokens is not None:
            left -= self.context_tokens - self.prompt_tokens
        return min(self.limits.turn_tokens, left)

    async def generate(self, budget: int) -> Turn:
        """One generation, appended to the conversation."""
        index, clock = len(self.turns), time.perf_counter()
        self.sent, self.context_before = tuple(self.messages), self.context_tokens
        tools = not self.fallback
        completion = await self.agent.engine.generate(
            Request(
                messages=self.sent,
                sampling=self.sampling(index),
                max_tokens=budget,
                stop=self.protocol.stop if self.agent.tools and tools else (),
                tools=self.agent.declarations if tools else (),
                key=self.key,
                turn=index,
            )
        )
        seconds = time.perf_counter() - clock
        if completion.timing.generate_s:
            # a recording has times of its own
            self.replayed_s += completion.timing.generate_s - seconds
            seconds = completion.timing.generate_s
        self.spent_s += seconds - (completion.timing.queue_s or 0.0)
        text = clean(completion.text)
        extend(self.messages, "assistant", (text,))
        self.count_tokens(completion)
        arrivals, self.hands.arrivals = self.hands.arrivals, []
        for arrival in arrivals:
            await arrival.image.inspect()
            await arrival.original.inspect()
        return Turn(
            text=text,
            finish_reason=completion.finish_reason,
            usage=completion.usage,
            timing=msgspec.structs.replace(completion.timing, generate_s=seconds),
            retries=completion.retries,
            shown=shown(arrivals, completion.images, self.agent.budget),
            temperature=self.temperature,
        )

    def sampling(self, index: int) -> Sampling:
        """The sampling of one turn: the run's seed becomes one of the turn's own.

        With one seed for all, a server draws the same noise for every sample, and their errors are not
        independent.
        """
        sampling = self.agent.sampling
        if self.temperature is not None:
            sampling = msgspec.structs.replace(sampling, temperature=self.temperature)
        if sampling.seed is None:
            return sampling
        digest = hashlib.sha256(f"{sampling.seed}/{self.key}/{index}".encode()).digest()
        return msgspec.structs.replace(sampling, seed=int.from_bytes(digest[:4], "big") >> 1)

    def count_tokens(self, completion: Completion) -> None:
        prompt, new = completion.usage.prompt_tokens, completion.usage.completion_tokens
        if self.prompt_tokens is None:
            self.prompt_tokens = prompt
        self.context_tokens = None if prompt is None or new is None else prompt + new
