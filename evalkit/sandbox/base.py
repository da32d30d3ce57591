"""What a sandbox is: a place where a model's Python code runs, one stateful session per trajectory."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol

import msgspec

from evalkit.images import ImageFile


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one session may use.

    Attributes:
        call_s: seconds per call before it is interrupted; `grace_s` later it is killed.
        grace_s: seconds between the interrupt and the kill.
        memory_mb: address space.
        file_mb: largest file it may write.
        disk_mb: all files it may have at a time, where it may write any.
        open_files: descriptors.
        threads: its threads.
        output_chars: printed text kept per call; the rest is counted and dropped.
        images: images returned per call.
        image_pixels: pixels of one returned image; all images of one call together may have twice as many.
    """

    call_s: float = 20.0
    grace_s: float = 1.0
    memory_mb: int = 4096
    file_mb: int = 64
    disk_mb: int = 128
    open_files: int = 64
    threads: int = 64
    output_chars: int = 100_000
    images: int = 16
    image_pixels: int = 40_000_000


class Tier(StrEnum):
    """How well code is kept in. Recorded with every run."""

    T1 = "T1"
    """Namespaces, own root, landlock, seccomp and resource limits."""
    T2 = "T2"
    """Landlock, seccomp and resource limits."""
    T0 = "T0"
    """A separate process with resource limits: not isolated."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a sandbox offers on this machine.

    Attributes:
        tier: see `Tier`.
        isolated: whether code is kept away from the host's files, network and processes.
        details: mechanism to "yes", or to why it is missing.
    """

    tier: Tier
    isolated: bool
    details: dict[str, str] = {}


class SessionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a session starts with.

    Attributes:
        images: bound as `image_1` .. `image_N` (PIL images, opened when a cell first mentions them).
        imports: name to the import statement that binds it, e.g. `{"np": "import numpy as np"}`; it runs
            when a cell first mentions the name and has not bound it itself.
        limits: see `Limits`; None for the sandbox's own.
    """

    images: tuple[ImageFile, ...] = ()
    imports: dict[str, str] = {}
    limits: Limits | None = None


class ExecStatus(StrEnum):
    """How a cell ended, by the host's own observation or the cell's traceback."""

    OK = "ok"
    ERROR = "error"
    """The cell raised; the session goes on."""
    TIMEOUT = "timeout"
    DIED = "died"
    """The session's process ended; the next call starts a new one."""


class ExecResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one cell gave. Everything but `status`, `seconds` and `state_lost` is the cell's own word.

    Attributes:
        status: see `ExecStatus`.
        stdout: printed text, capped.
        stderr: printed errors and the traceback, capped.
        value: `repr` of the last expression, "" when it has none or it is an image.
        images: figures and images displayed, in order.
        dropped_chars: printed text beyond the cap.
        dropped_images: images beyond the limits.
        seconds: by the host's clock.
        state_lost: variables are gone; the next cell runs in a new session.
    """

    status: ExecStatus
    stdout: str = ""
    stderr: str = ""
    value: str = ""
    images: tuple[ImageFile, ...] = ()
    dropped_chars: int = 0
    dropped_images: int = 0
    seconds: float = 0.0
    state_lost: bool = False


class Session(Protocol):
    """One stateful interpreter."""

    async def run(self, code: str) -> ExecResult:
        """Run one cell; state is kept for the next one.

        Raises:
            SandboxError: the sandbox itself failed.
            DataError: an image of the session cannot be read.
        """
        ...

    async def close(self) -> None:
        """End the interpreter; safe to call twice."""
        ...


class Sandbox(Protocol):
    """A source of sessions. `start` before the first session, `close` at the end."""

    async def start(self) -> Capabilities:
        """Probe what this machine offers.

        Raises:
            EvalkitError: code cannot be run here, and what to do about it.
        """
        ...

    async def open(self, spec: SessionSpec) -> Session:
        """A new session.

        Raises:
            SandboxError: none can be had.
        """
        ...

    async def close(self) -> None:
        """End all sessions; safe to call twice."""
        ...

    def describe(self) -> dict[str, Any]:
        """What the run records: kind and limits. JSON values."""
        ...
