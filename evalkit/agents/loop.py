"""One trajectory: generate, read the calls, run them, show the results, until an answer or a limit."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from evalkit.agents.ledger import Arrival, crop_of, shown
from evalkit.agents.limits import Limits
from evalkit.agents.protocols.base import ParsedCall, Protocol, Reply
from evalkit.engines.base import Completion, Engine, Message, Part, Request, Sampling
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
from evalkit.records import CallStatus, Observation, Sample, StopReason, ToolCall, Trajectory, Turn
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
        """
        self.engine = engine
        self.protocol = protocol
        self.tools = {name: tools[name] for name in protocol.tools if name in tools}
        self.sampling = sampling
        self.limits = limits
        self.budget = budget
        self.insist = insist
        specs = [tool.spec for tool in self.tools.values()]
        self.system_prompt = protocol.system_prompt(specs) if system_prompt is None else system_prompt
        self.declarations = tuple(spec.declaration() for spec in specs) if protocol.native_tools else ()

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
        self.toolbox = Toolbox(tuple(agent.tools.values()), sample, self.protocol.names, self.protocol.aliases)
        question = self.protocol.question(sample)
        self.messages = [Message("user", question), *earlier]
        if ask:
            self.say(ask)
        self.prompt = self.messages[-1].text
        if agent.system_prompt:
            self.messages.insert(0, Message("system", (agent.system_prompt,)))
        self.turns: list[Turn] = []
        self.used: Counter[str] = Counter()
        self.images = len(sample.images)
        self.arrivals = [] if earlier else [Arrival(part, part) for part in question if isinstance(part, ImageFile)]
        self.prompt_tokens: int | None = None
        self.context_tokens: int | None = None
        self.spent_s = 0.0
        self.replayed_s = 0.0

    async def run(self) -> Trajectory:
        started, clock = time.time(), time.perf_counter()
        try:
            await self.check_images()
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
            await self.toolbox.close()
        return Trajectory(
            prompt=self.prompt,
            stop=stop,
            turns=tuple(self.turns),
            error=error,
            started_at=started,
            total_s=time.perf_counter() - clock + self.replayed_s,
        )

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

    async def check_images(self) -> None:
        """Read every image's header now, so that a broken one costs no generation."""
        for message in self.messages:
            for image in message.images:
                await image.inspect()

    async def converse(self) -> tuple[StopReason, str]:
        """Turns until the end; every turn is kept as soon as it is complete."""
        for index in range(self.limits.turns):
            budget = self.token_budget()
            if budget <= 0:
                return StopReason.LIMIT_TOKENS, f"{self.limits.trajectory_tokens} tokens used"
            turn = await self.generate(index, budget)
            reply = self.protocol.parse(turn.text)
            if self.spent_s > self.limits.seconds:
                self.turns.append(msgspec.structs.replace(turn, calls=_not_run(reply, "the time is used up")))
                return self.out_of_time()
            if self.must_call(index, reply, turn):
                self.turns.append(self.send_back(turn))
                continue
            if not self.goes_on(reply, turn):
                self.turns.append(msgspec.structs.replace(turn, calls=_not_run(reply, "no tools are offered")))
                return self.ending(reply, turn)
            if index + 1 == self.limits.turns:
                self.turns.append(msgspec.structs.replace(turn, calls=_not_run(reply, "no turns are left")))
                break
            self.turns.append(await self.act(reply, turn))
            if self.spent_s > self.limits.seconds:
                return self.out_of_time()
        return StopReason.LIMIT_TURNS, f"no answer within {self.limits.turns} turns"

    def out_of_time(self) -> tuple[StopReason, str]:
        """The end when the agent's own time is used up."""
        return StopReason.LIMIT_TIME, f"no answer within {self.limits.seconds:g} s"

    def goes_on(self, reply: Reply, turn: Turn) -> bool:
        """Whether the turn's calls are run: a call cut off by the token limit is not one."""
        cut = turn.finish_reason == "length" and all(call.error for call in reply.calls)
        return bool(reply.calls) and bool(self.agent.tools) and not cut

    def must_call(self, index: int, reply: Reply, turn: Turn) -> bool:
        """Whether a call is required and the first turn, come to its own end, has none."""
        first = self.agent.insist and index == 0 < self.limits.turns - 1
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

    async def generate(self, index: int, budget: int) -> Turn:
        """One generation, appended to the conversation."""
        clock = time.perf_counter()
        completion = await self.agent.engine.generate(
            Request(
                messages=tuple(self.messages),
                sampling=self.sampling(index),
                max_tokens=budget,
                stop=self.protocol.stop if self.agent.tools else (),
                tools=self.agent.declarations,
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
        text = _clean(completion.text)
        self.messages.append(Message("assistant", (text,)))
        self.count_tokens(completion)
        arrivals, self.arrivals = self.arrivals, []
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
        )

    def sampling(self, index: int) -> Sampling:
        """The sampling of one turn: the run's seed becomes one of the turn's own.

        With one seed for all, a server draws the same noise for every sample, and their errors are not
        independent.
        """
        sampling = self.agent.sampling
        if sampling.seed is None:
            return sampling
        digest = hashlib.sha256(f"{sampling.seed}/{self.key}/{index}".encode()).digest()
        return msgspec.structs.replace(sampling, seed=int.from_bytes(digest[:4], "big") >> 1)

    def count_tokens(self, completion: Completion) -> None:
        prompt, new = completion.usage.prompt_tokens, completion.usage.completion_tokens
        if self.prompt_tokens is None:
            self.prompt_tokens = prompt
        self.context_tokens = None if prompt is None or new is None else prompt + new

    async def act(self, reply: Reply, turn: Turn) -> Turn:
        """Run the turn's calls one after another and show each result."""
        calls: list[ToolCall] = []
        observations: list[Observation] = []
        for parsed in reply.calls:
            call, observation = await self.dispatch(parsed)
            calls.append(call)
            observations.append(observation)
            self.messages.append(shown_as(self.protocol.observation_role, observation))
        timing = msgspec.structs.replace(turn.timing, tool_s=sum(call.seconds or 0.0 for call in calls))
        return msgspec.structs.replace(turn, calls=tuple(calls), observations=tuple(observations), timing=timing)

    async def dispatch(self, parsed: ParsedCall) -> tuple[ToolCall, Observation]:
        """Run one call, or say why it is not run."""
        tool = self.toolbox.resolve(parsed.tool)
        status = self.refusal(parsed, tool)
        if status is not None or tool is None:
            status = status or CallStatus.UNKNOWN_TOOL
            text = self.protocol.refuse(parsed, status, tuple(self.agent.tools))
            return _record(parsed, status, 0.0, parsed.error or text), Observation(text=text)
        self.used[tool] += 1
        clock = time.perf_counter()
        result = await self.toolbox.call(tool, parsed.arguments)
        seconds = time.perf_counter() - clock
        self.spent_s += seconds
        if result.status is CallStatus.MALFORMED:
            parsed = msgspec.structs.replace(parsed, error=result.error)
            text = self.protocol.refuse(parsed, result.status, tuple(self.agent.tools))
            return _record(parsed, result.status, 0.0, result.error), Observation(text=text)
        observed = self.protocol.observe(msgspec.structs.replace(parsed, tool=tool), result)
        error = "" if result.status is CallStatus.OK else result.error
        return _record(parsed, result.status, seconds, error), await self.admit(observed, tool, parsed)

    def refusal(self, parsed: ParsedCall, tool: str | None) -> CallStatus | None:
        """The reason not to run a call, None when it may run."""
        if parsed.error:
            return CallStatus.MALFORMED
        if tool is None:
            return CallStatus.UNKNOWN_TOOL
        most = self.protocol.max_calls.get(tool)
        return CallStatus.BLOCKED if most is not None and self.used[tool] >= most else None

    async def admit(self, observed: Observation, tool: str, parsed: ParsedCall) -> Observation:
        """The observation within the limits on text and images; what is withheld is said in it."""
        text, notes = _clean(observed.text), []
        if len(text) > self.limits.observation_chars:
            cut = len(text) - self.limits.observation_chars
            text = f"[{cut} characters cut]\n{text[cut:]}"
        images: list[ImageFile] = []
        source, box = crop_of(parsed.arguments)
        for image in observed.images:
            if self.images >= self.limits.images:
                notes.append(f"[an image is not shown: the limit of {self.limits.images} images is reached]")
                continue
            fitted = await asyncio.to_thread(self.protocol.fit, image)
            if fitted is None:
                notes.append("[an image is not shown: it is too narrow]")
                continue
            images.append(fitted)
            self.arrivals.append(Arrival(fitted, image, tool, source, box))
            self.images += 1
        return Observation(text="\n".join([*([text] if text else []), *notes]), images=tuple(images))


def shown_as(role: str, observation: Observation) -> Message:
    """The message that shows an observation to the model."""
    text: tuple[Part, ...] = (observation.text,) if observation.text else ()
    return Message(role, (*text, *observation.images))


def _record(parsed: ParsedCall, status: CallStatus, seconds: float, error: str) -> ToolCall:
    return ToolCall(
        tool=_clean(parsed.tool),
        raw=_clean(parsed.raw),
        arguments=parsed.arguments,
        status=status,
        seconds=seconds,
        error=one_line(error),
    )


def _not_run(reply: Reply, why: str) -> tuple[ToolCall, ...]:
    return tuple(
        _record(call, CallStatus.MALFORMED if call.error else CallStatus.NOT_RUN, 0.0, call.error or why)
        for call in reply.calls
    )


def _clean(text: str) -> str:
    """Text that can be stored as UTF-8: lone surrogates become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
