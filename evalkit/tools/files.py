"""A code tool whose images come and go as files: the code opens a path and prints the path of what it saved."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from evalkit.errors import SandboxError, one_line
from evalkit.records import CallStatus, Sample
from evalkit.tools.base import Tool, ToolResult, ToolSession, ToolSpec

FOLDER = "temp_processed_images"
"""Where the code is to save what it makes, under the session's own folder."""
_WORD = re.compile(r"[^\s'\"<>|]+")
_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tiff")
_AROUND = "()[]{},;:."
_MOST = 8

_WRITE = """
import os as _os
_os.makedirs({folder!r}, exist_ok=True)
for _picture, _path in zip([{images}], {paths!r}):
    if _picture.mode not in ("RGB", "RGBA", "L", "1"):
        _picture = _picture.convert("RGB")
    try:
        _picture.save(_path, format="PNG", compress_level=1)
    except OSError:
        _picture.convert("RGB").save(_path, format="JPEG", quality=95)
image_path = {path!r}
temp_output_dir = {folder!r}
"""
_SHOW = """
import os as _os
from PIL import Image as _Image
for _path in {paths!r}:
    if _os.path.isfile(_path):
        try:
            _picture = _Image.open(_path)
            _picture.load()
        except Exception:
            continue
        display(_picture)
"""


def path_of(number: int) -> str:
    """Path of the sample's image with this number, from 1. A file too large for the sandbox is a JPEG all the same."""
    return f"image_{number}.png"


class FileTool:
    """Runs code that works on files.

    The sample's images lie under `path_of`, and `image_path` has the first one's path. An image whose path the code
    prints is the result; where there is none, what it printed is. A call that gives neither has failed.

    Args:
        tool: runs the code and binds the images as `image_1`, ...; its sessions show with `display`.
        rewrite: the code as it is run; what is recorded is the model's own.
        refuse: why code is not run at all; empty where it is.
    """

    def __init__(
        self,
        tool: Tool,
        rewrite: Callable[[str, Sample], str] = lambda code, sample: code,
        refuse: Callable[[str], str] = lambda code: "",
    ) -> None:
        self._tool = tool
        self._rewrite = rewrite
        self._refuse = refuse

    @property
    def spec(self) -> ToolSpec:
        """The tool's own."""
        return self._tool.spec

    async def open(self, sample: Sample, names: Mapping[str, str]) -> ToolSession:
        """A session; the files are written before its first call.

        Raises:
            SandboxError: no session can be had.
        """
        return _Files(await self._tool.open(sample, names), sample, self._rewrite, self._refuse)


class _Files:
    def __init__(
        self,
        session: ToolSession,
        sample: Sample,
        rewrite: Callable[[str, Sample], str],
        refuse: Callable[[str], str],
    ) -> None:
        self._session = session
        self._sample = sample
        self._rewrite = rewrite
        self._refuse = refuse
        self._written = False

    async def call(self, arguments: dict[str, Any]) -> ToolResult:
        code = arguments.get("code")
        if not isinstance(code, str) or not code.strip():
            return await self._session.call(arguments)
        if why := self._refuse(code):
            return ToolResult(status=CallStatus.FAILED, error=why)
        if not self._written:
            await self._write()
        code = self._rewrite(code, self._sample)
        result = await self._session.call({**arguments, "code": code})
        self._written = not result.state_lost
        if result.status is not CallStatus.OK:
            return msgspec.structs.replace(result, images=())
        paths = printed_paths(result.text)
        shown = await self._session.call({"code": _SHOW.format(paths=paths)}) if paths else result
        images = shown.images if paths else ()
        why = ""
        if not images and not result.text.strip():
            why = "The code printed neither the path of an image nor a result."
        elif not images and paths and FOLDER in code:
            why = f"There is no image at {one_line(paths[0], 200)}."
        if why:
            return ToolResult(status=CallStatus.FAILED, text=result.text, error=why)
        return msgspec.structs.replace(result, images=images)

    async def _write(self) -> None:
        numbers = range(1, len(self._sample.images) + 1)
        cell = _WRITE.format(
            folder=FOLDER,
            images="".join(f"image_{number}, " for number in numbers),
            paths=[path_of(number) for number in numbers],
            path=path_of(1),
        )
        done = await self._session.call({"code": cell})
        if done.status is not CallStatus.OK:
            last = done.error.strip().rsplit("\n", 1)[-1]
            raise SandboxError(f"the sample's images cannot be written to files in the sandbox: {one_line(last)}")
        self._written = True

    async def close(self) -> None:
        await self._session.close()


def printed_paths(text: str) -> list[str]:
    """The paths of images in what code printed, each once, in order; at most eight."""
    words = (match[0].strip(_AROUND) for match in _WORD.finditer(text))
    return list(dict.fromkeys(word for word in words if word.lower().endswith(_IMAGES)))[:_MOST]
