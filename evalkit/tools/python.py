"""The Python tool: code runs in a sandbox session that lasts as long as the trajectory."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from evalkit.records import CallStatus, Sample
from evalkit.sandbox.base import ExecResult, ExecStatus, Limits, Sandbox, Session, SessionSpec
from evalkit.tools.base import ToolResult, ToolSpec

MAX_CODE = 1_000_000
"""Characters of one call's code."""

_STATUS = {
    ExecStatus.OK: CallStatus.OK,
    ExecStatus.ERROR: CallStatus.FAILED,
    ExecStatus.TIMEOUT: CallStatus.TIMEOUT,
    ExecStatus.DIED: CallStatus.FAILED,
}
_DESCRIPTION = (
    "Run Python code in a session that keeps its variables between calls; the images are bound as "
    "image_1, image_2, ... (PIL); printed text, the last expression, displayed images and figures come back."
)
_PARAMETERS = {
    "type": "object",
    "properties": {"code": {"type": "string", "description": "Python code."}},
    "required": ["code"],
}


class PythonTool:
    """Runs code in a sandbox.

    Args:
        sandbox: started by whoever made it, and closed by them.
        description: what the model is told, in one sentence.
        call_s: seconds that a call may take; None for the sandbox's own.
    """

    def __init__(self, sandbox: Sandbox, description: str = _DESCRIPTION, call_s: float | None = None) -> None:
        self._sandbox = sandbox
        self._call_s = call_s
        self._spec = ToolSpec(name="python", description=description, parameters=_PARAMETERS)

    @property
    def spec(self) -> ToolSpec:
        """Name "python", one argument: `code`."""
        return self._spec

    def within(self, call_s: float) -> PythonTool:
        """The same tool with another limit of seconds on a call."""
        return PythonTool(self._sandbox, self._spec.description, call_s)

    async def open(self, sample: Sample, names: Mapping[str, str]) -> PythonSession:
        """A session with the sample's images.

        Args:
            sample: its images are bound as `image_1` .. `image_N`.
            names: bound when code first mentions them: name to import statement.

        Raises:
            SandboxError: no session can be had.
        """
        limits = None if self._call_s is None else Limits(call_s=self._call_s)
        spec = SessionSpec(images=sample.images, imports=dict(names), limits=limits)
        return PythonSession(await self._sandbox.open(spec))


class PythonSession:
    """The Python tool in the hands of one trajectory."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def call(self, arguments: dict[str, Any]) -> ToolResult:
        """Run `arguments["code"]`.

        Raises:
            SandboxError: the sandbox itself failed.
            DataError: an image of the sample cannot be read.
        """
        code = arguments.get("code")
        if problem := _problem(code, arguments):
            return ToolResult(status=CallStatus.MALFORMED, error=problem)
        # A block that is indented as a whole is what models write inside their tags.
        return _result(await self._session.run(textwrap.dedent(str(code))))

    async def close(self) -> None:
        """End the session; safe to call twice."""
        await self._session.close()


def _problem(code: object, arguments: dict[str, Any]) -> str:
    """Why the arguments do not fit; empty when they do."""
    if "code" not in arguments:
        return "The argument 'code' is missing."
    if not isinstance(code, str):
        return f"The argument 'code' must be a string, not {type(code).__name__}."
    if not code.strip():
        return "The argument 'code' is empty."
    if len(code) > MAX_CODE:
        return f"The argument 'code' has {len(code):,} characters; {MAX_CODE:,} are allowed."
    return ""


def _result(result: ExecResult) -> ToolResult:
    notes = []
    if result.dropped_chars:
        notes.append(f"[{result.dropped_chars:,} more characters were dropped]")
    if result.dropped_images:
        notes.append(f"[{result.dropped_images:,} more images were dropped: too many or too large]")
    errors = [result.stderr]
    if result.state_lost:
        errors.append("All variables are gone; the next call starts a new Python session.")
    return ToolResult(
        status=_STATUS[result.status],
        text=_lines(result.stdout, result.value, *notes),
        error=_lines(*errors),
        images=result.images,
        state_lost=result.state_lost,
    )


def _lines(*parts: str) -> str:
    """The parts that are not empty, each beginning on a line of its own."""
    text = ""
    for part in parts:
        if part:
            text += part if not text or text.endswith("\n") else f"\n{part}"
    return text
