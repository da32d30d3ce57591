"""What a trajectory's calls do: they are run or refused, counted, and their results cut to the limits."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import msgspec

from evalkit.agents.ledger import Arrival, crop_of
from evalkit.agents.limits import Limits
from evalkit.agents.protocols.base import ParsedCall, Protocol, Reply
from evalkit.errors import one_line
from evalkit.images import ImageFile
from evalkit.records import CallStatus, Observation, ToolCall, Turn
from evalkit.tools.toolbox import Toolbox


class Hands:
    """The tools of one trajectory, within its limits.

    Args:
        toolbox: holds the tools' sessions.
        offered: names of the tools.
        protocol: reads calls and words results.
        limits: of the trajectory.
        images: of the question.

    Attributes:
        images: images in the conversation.
        arrivals: images that the model has not seen yet.
        spent_s: seconds that calls took.
    """

    def __init__(
        self, toolbox: Toolbox, offered: tuple[str, ...], protocol: Protocol, limits: Limits, images: int
    ) -> None:
        self._toolbox = toolbox
        self._offered = offered
        self._protocol = protocol
        self._limits = limits
        self._question = images
        self._used: Counter[str] = Counter()
        self.images = images
        self.arrivals: list[Arrival] = []
        self.spent_s = 0.0

    async def empty(self) -> None:
        """End the tools' sessions; the next call begins new ones, in a new conversation."""
        await self._toolbox.close()
        self._used.clear()
        self.images = self._question
        self.arrivals = []

    def take_back(self, images: int) -> None:
        """Forget images that will not be shown: only the first `images` stay."""
        self.images, self.arrivals = images, []

    async def act(self, reply: Reply, turn: Turn) -> Turn:
        """Run the turn's calls one after another."""
        calls: list[ToolCall] = []
        observations: list[Observation] = []
        for parsed in reply.calls:
            call, observation = await self._dispatch(parsed)
            calls.append(call)
            observations.append(observation)
        timing = msgspec.structs.replace(turn.timing, tool_s=sum(call.seconds or 0.0 for call in calls))
        return msgspec.structs.replace(turn, calls=tuple(calls), observations=tuple(observations), timing=timing)

    async def _dispatch(self, parsed: ParsedCall) -> tuple[ToolCall, Observation]:
        """Run one call, or say why it is not run."""
        tool = self._toolbox.resolve(parsed.tool)
        status = self._refusal(parsed, tool)
        if status is not None or tool is None:
            status = status or CallStatus.UNKNOWN_TOOL
            text = self._protocol.refuse(parsed, status, self._offered)
            return _record(parsed, status, 0.0, parsed.error or text), Observation(text=text)
        self._used[tool] += 1
        clock = time.perf_counter()
        result = await self._toolbox.call(tool, parsed.arguments)
        seconds = time.perf_counter() - clock
        self.spent_s += seconds
        if result.status is CallStatus.MALFORMED:
            parsed = msgspec.structs.replace(parsed, error=result.error)
            text = self._protocol.refuse(parsed, result.status, self._offered)
            return _record(parsed, result.status, 0.0, result.error), Observation(text=text)
        observed = self._protocol.observe(msgspec.structs.replace(parsed, tool=tool), result)
        error = "" if result.status is CallStatus.OK else result.error
        return _record(parsed, result.status, seconds, error), await self._admit(
            observed, tool, crop_of(parsed.arguments) if result.cut is None else (result.cut.source, result.cut.box)
        )

    def _refusal(self, parsed: ParsedCall, tool: str | None) -> CallStatus | None:
        """The reason not to run a call, None when it may run."""
        if parsed.error:
            return CallStatus.MALFORMED
        if tool is None:
            return CallStatus.UNKNOWN_TOOL
        most = self._protocol.max_calls.get(tool)
        return CallStatus.BLOCKED if most is not None and self._used[tool] >= most else None

    async def _admit(
        self, observed: Observation, tool: str, part: tuple[str, tuple[float, float, float, float] | None]
    ) -> Observation:
        """The observation within the limits on text and images; what is withheld is said in it."""
        text, notes = clean(observed.text), []
        if len(text) > self._limits.observation_chars:
            cut = len(text) - self._limits.observation_chars
            text = f"[{cut} characters cut]\n{text[cut:]}"
        images: list[ImageFile] = []
        source, box = part
        for image in observed.images:
            if self.images >= self._limits.images:
                notes.append(f"[an image is not shown: the limit of {self._limits.images} images is reached]")
                continue
            fitted = await asyncio.to_thread(self._protocol.fit, image)
            if fitted is None:
                notes.append("[an image is not shown: it is too narrow]")
                continue
            images.append(fitted)
            self.arrivals.append(Arrival(fitted, image, tool, source, box))
            self.images += 1
        return Observation(text="\n".join([*([text] if text else []), *notes]), images=tuple(images))


def _record(parsed: ParsedCall, status: CallStatus, seconds: float, error: str) -> ToolCall:
    return ToolCall(
        tool=clean(parsed.tool),
        raw=clean(parsed.raw),
        arguments=parsed.arguments,
        status=status,
        seconds=seconds,
        error=one_line(error),
    )


def not_run(reply: Reply, why: str) -> tuple[ToolCall, ...]:
    """The calls of a turn in which none can be run, and why."""
    return tuple(
        _record(call, CallStatus.MALFORMED if call.error else CallStatus.NOT_RUN, 0.0, call.error or why)
        for call in reply.calls
    )


def clean(text: str) -> str:
    """Text that can be stored as UTF-8: lone surrogates become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
