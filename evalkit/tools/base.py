"""What a tool is: something a model may call during one trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from evalkit.images import ImageFile
from evalkit.records import CallStatus, Sample


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How a tool is declared to a model.

    Attributes:
        name: as the model writes it.
        description: one sentence for the model.
        parameters: JSON schema of the arguments (an object).
    """

    name: str
    description: str
    parameters: dict[str, Any]

    def declaration(self) -> dict[str, Any]:
        """The OpenAI function form, as chat templates expect it."""
        return {"type": "function", "function": msgspec.to_builtins(self)}


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """Where an image of a result was cut out.

    Attributes:
        source: the sample's image, as `image_N`, counted from 1.
        box: left, top, right, bottom in its pixels.
    """

    source: str
    box: tuple[float, float, float, float]


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one call gave.

    Attributes:
        status: OK, FAILED, TIMEOUT, MALFORMED when the arguments do not fit, or UNKNOWN_TOOL.
        text: what it printed or found.
        error: why it failed, as the model should see it (a traceback, a reason); for a call that
            did not fail, what it wrote to the error stream (warnings).
        images: in order.
        state_lost: a persistent session had to be started anew after this call.
        cut: of which part of a sample's image the result's image is; None where the tool does not cut images.
    """

    status: CallStatus
    text: str = ""
    error: str = ""
    images: tuple[ImageFile, ...] = ()
    state_lost: bool = False
    cut: Cut | None = None


class ToolSession(Protocol):
    """One tool in the hands of one trajectory."""

    async def call(self, arguments: dict[str, Any]) -> ToolResult:
        """Run one call.

        Raises:
            SandboxError: the tool itself is broken, whatever the arguments.
            DataError: an image of the sample cannot be read.
        """
        ...

    async def close(self) -> None:
        """Free what the session holds; safe to call twice."""
        ...


class Tool(Protocol):
    """A tool as a run offers it; sessions are opened per trajectory, at the first call."""

    @property
    def spec(self) -> ToolSpec:
        """How it is declared."""
        ...

    async def open(self, sample: Sample, names: Mapping[str, str]) -> ToolSession:
        """A session for one trajectory.

        Args:
            sample: whose images the tool works on.
            names: what the protocol promises a code tool's cells without importing it: name to
                import statement, e.g. `{"np": "import numpy as np"}`. Other tools ignore it.

        Raises:
            SandboxError: no session can be had.
        """
        ...
