"""The tools of one trajectory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from evalkit.errors import EvalkitError, SandboxError, one_line
from evalkit.records import CallStatus, Sample
from evalkit.tools.base import Tool, ToolResult, ToolSession, ToolSpec


class Toolbox:
    """Dispatches calls by name; a tool's session is opened at its first call.

    Args:
        tools: what is offered, in the order in which it is declared.
        sample: what the trajectory is about.
        names: for code tools, see `Tool.open`.
        aliases: further names of offered tools: what the model may write, to the tool's own name.
            Aliases of tools that are not offered are ignored.

    Raises:
        ValueError: two tools have the same name, or an alias is a tool's name.
    """

    def __init__(
        self,
        tools: Sequence[Tool],
        sample: Sample,
        names: Mapping[str, str] | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self._tools = {tool.spec.name: tool for tool in tools}
        self._aliases = {alias: name for alias, name in (aliases or {}).items() if name in self._tools}
        if len(self._tools) < len(tools) or self._aliases.keys() & self._tools.keys():
            raise ValueError(f"tool names are not unique: {[tool.spec.name for tool in tools]}, {aliases}")
        self._sample = sample
        self._names = dict(names or {})
        self._sessions: dict[str, ToolSession] = {}
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """How the tools are declared."""
        return tuple(tool.spec for tool in self._tools.values())

    @property
    def known(self) -> tuple[str, ...]:
        """Every name a call may use, aliases last."""
        return (*self._tools, *self._aliases)

    def resolve(self, name: str) -> str | None:
        """The tool's own name behind what a model wrote; None when there is no such tool."""
        name = self._aliases.get(name, name)
        return name if name in self._tools else None

    async def call(self, name: str, arguments: dict[str, Any]) -> ToolResult:
        """Run one call.

        Args:
            name: as the model wrote it.
            arguments: as parsed from what the model wrote.

        Returns:
            The tool's result, or one with status UNKNOWN_TOOL or MALFORMED.

        Raises:
            SandboxError: the tool itself is broken, whatever the arguments.
            DataError: an image of the sample cannot be read.
        """
        tool = self.resolve(name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            error = f"There is no tool {one_line(name, 80)!r}. Tools: {known}."
            return ToolResult(status=CallStatus.UNKNOWN_TOOL, error=error)
        if not isinstance(arguments, dict):
            return ToolResult(status=CallStatus.MALFORMED, error="The arguments must be an object.")
        try:
            async with self._lock:
                if tool not in self._sessions:
                    self._sessions[tool] = await self._tools[tool].open(self._sample, self._names)
            return await self._sessions[tool].call(arguments)
        except EvalkitError:
            raise
        except Exception as error:
            # a tool's own code may fail in any way; it must not take other trajectories with it
            raise SandboxError(f"tool {tool} failed: {type(error).__name__}: {one_line(error)}") from error

    async def close(self) -> None:
        """Close what was opened; safe to call twice."""
        async with self._lock:
            sessions, self._sessions = list(self._sessions.values()), {}
        results = await asyncio.gather(*(session.close() for session in sessions), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
