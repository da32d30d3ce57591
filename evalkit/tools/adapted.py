"""A code tool as one model family meets it: other images, code rewritten, results sifted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from evalkit.images import ImageFile
from evalkit.records import Sample
from evalkit.tools.base import Tool, ToolResult, ToolSession, ToolSpec


class AdaptedTool:
    """A tool behind three functions; the slow ones run off the event loop.

    Args:
        tool: does the work.
        images: the sample's images as the tool gets them.
        rewrite: the argument `code` as the tool gets it; what is recorded is the model's own.
        keep: whether an image of a result stays in it.
    """

    def __init__(
        self,
        tool: Tool,
        *,
        images: Callable[[tuple[ImageFile, ...]], tuple[ImageFile, ...]] | None = None,
        rewrite: Callable[[str], str] | None = None,
        keep: Callable[[ImageFile], bool] | None = None,
    ) -> None:
        self._tool = tool
        self._images = images
        self._rewrite = rewrite
        self._keep = keep

    @property
    def spec(self) -> ToolSpec:
        """The tool's own."""
        return self._tool.spec

    async def open(self, sample: Sample, names: Mapping[str, str]) -> ToolSession:
        """A session with the changed images.

        Raises:
            SandboxError: no session can be had.
            DataError: an image of the sample cannot be read.
        """
        if self._images is not None:
            images = await asyncio.to_thread(self._images, sample.images)
            sample = msgspec.structs.replace(sample, images=images)
        return _Adapted(await self._tool.open(sample, names), self._rewrite, self._keep)


class _Adapted:
    def __init__(
        self, session: ToolSession, rewrite: Callable[[str], str] | None, keep: Callable[[ImageFile], bool] | None
    ) -> None:
        self._session = session
        self._rewrite = rewrite
        self._keep = keep

    async def call(self, arguments: dict[str, Any]) -> ToolResult:
        code = arguments.get("code")
        if self._rewrite is not None and isinstance(code, str):
            arguments = {**arguments, "code": self._rewrite(code)}
        result = await self._session.call(arguments)
        if self._keep is None or not result.images:
            return result
        kept = await asyncio.to_thread(lambda keep: tuple(filter(keep, result.images)), self._keep)
        return msgspec.structs.replace(result, images=kept)

    async def close(self) -> None:
        await self._session.close()
