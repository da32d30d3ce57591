"""Agents under a protocol whose model follows a script, with tools that give what they are told to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from evalkit import CallStatus, ImageFile, Sample
from evalkit.agents import Agent, Limits
from evalkit.agents.protocols import Protocol
from evalkit.engines import Completion, Request, Sampling, ScriptedEngine
from evalkit.records import Trajectory, Turn
from evalkit.tools.base import Tool, ToolResult, ToolSpec

OK = ToolResult(status=CallStatus.OK, text="fine")
FAILED = ToolResult(status=CallStatus.FAILED, error="NameError: x")


def picture(width: int = 64, height: int = 48, colour: str = "red") -> ImageFile:
    return ImageFile.from_pil(Image.new("RGB", (width, height), colour), f"{colour} {width}x{height}")


class ToldTool:
    """Gives results in turn, the last one for ever; keeps what it was called with."""

    def __init__(self, *results: ToolResult, name: str = "python") -> None:
        self.spec = ToolSpec(name=name, description="", parameters={"type": "object"})
        self.results = results
        self.calls: list[dict[str, Any]] = []
        self.samples: list[Sample] = []
        self.closed = 0

    async def open(self, sample: Sample, names: Mapping[str, str]) -> ToldTool:
        self.samples.append(sample)
        return self

    async def call(self, arguments: dict[str, Any]) -> ToolResult:
        self.calls.append(arguments)
        return self.results[min(len(self.calls), len(self.results)) - 1]

    async def close(self) -> None:
        self.closed += 1


class Model:
    """A script that says its texts in turn, the last one for ever; keeps what it was asked."""

    def __init__(self, *texts: str | Completion) -> None:
        self.texts = texts
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> str | Completion:
        self.requests.append(request)
        return self.texts[min(len(self.requests), len(self.texts)) - 1]

    @property
    def temperatures(self) -> list[float]:
        return [request.sampling.temperature for request in self.requests]


async def ran(
    protocol: Protocol,
    model: Callable[[Request], str | Completion],
    *tools: Tool,
    sample: Sample | None = None,
    limits: Limits | None = None,
    sampling: Sampling | None = None,
) -> Trajectory:
    """One trajectory."""
    agent = Agent(
        engine=ScriptedEngine(model),
        protocol=protocol,
        tools={tool.spec.name: tool for tool in tools},
        sampling=sampling or Sampling(),
        limits=limits or Limits(),
    )
    return await agent.run(sample or Sample(id="s", question="what?", images=(picture(),)), "s/agent/0")


def kept(trajectory: Trajectory) -> list[Turn]:
    """The turns that stayed in the conversation."""
    return [turn for turn in trajectory.turns if not turn.discarded]
