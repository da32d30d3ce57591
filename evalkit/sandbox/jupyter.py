"""Sessions in Jupyter kernels, for code that was written for one: magics, `!` lines, rich display. Not isolated."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from evalkit.errors import EvalkitError, SandboxError, one_line
from evalkit.images import ImageFile
from evalkit.sandbox._channel import Channel, Reply
from evalkit.sandbox._child import Child
from evalkit.sandbox._outputs import Outputs
from evalkit.sandbox._setup import command, environment
from evalkit.sandbox.base import Capabilities, Limits, SessionSpec, Tier
from evalkit.sandbox.guest import wire
from evalkit.sandbox.process import ProcessSandbox

if TYPE_CHECKING:
    from jupyter_client.asynchronous.client import AsyncKernelClient

_READY_S = 60
_QUIET_S = 1.0
_CLOSE_S = 5.0
_MAX_MESSAGE = 1 << 28
# Of a Unix socket's path; some systems allow no more.
_MAX_PATH = 100


class JupyterSandbox(ProcessSandbox):
    """Sessions in Jupyter kernels (tier T0), one kernel each, through jupyter_client (extra `jupyter`).

    The code may read whatever the user may read and reach the network. A kernel takes about a second to start
    and some 70 MB. Values, tracebacks and displays are IPython's. Images that a cell shows come encoded: their
    size is checked by their header, then they are decoded here; what is no PNG or JPEG is dropped.

    Args:
        limits: of sessions that name none. The memory is on top of what a kernel needs itself.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits)
        self._context: Any = None

    async def start(self) -> Capabilities:
        """Run a first cell, to see that kernels can be run here.

        Raises:
            EvalkitError: they cannot, or the extra is not installed.
        """
        if not all(map(find_spec, ("jupyter_client", "ipykernel"))):
            raise EvalkitError("the jupyter sandbox needs jupyter_client and ipykernel: pip install 'evalkit[jupyter]'")
        import zmq.asyncio

        if self._context is None:
            self._context = zmq.asyncio.Context()
            self._context.setsockopt(zmq.MAXMSGSIZE, _MAX_MESSAGE)
        capabilities = await super().start()
        return Capabilities(tier=Tier.T0, isolated=False, details={"kernel": "yes", **capabilities.details})

    async def close(self) -> None:
        """End all kernels and remove their files; safe to call twice."""
        await super().close()
        context, self._context = self._context, None
        if context is not None:
            context.destroy(linger=0)

    def describe(self) -> dict[str, Any]:
        """Kind, tier and limits."""
        return {"kind": "jupyter", "tier": Tier.T0.value, "limits": msgspec.to_builtins(self._limits)}

    async def _start(self, spec: SessionSpec, limits: Limits) -> Child:
        kernel = cast(_Kernel, await super()._start(spec, limits))
        try:
            await kernel.channel.connect(kernel.connection, self._context)
            return kernel
        except BaseException as error:
            kernel.kill()
            self._executor.submit(kernel.reap)
            if isinstance(error, RuntimeError | wire.WireError):
                raise SandboxError(f"a Jupyter kernel did not start: {one_line(error)}") from error
            raise

    async def _spawn(self, root: Path, spec: SessionSpec) -> Child:
        future = self._executor.submit(_launch, root, spec.images, asyncio.get_running_loop())
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            # The thread may be past the point where it can be stopped.
            future.add_done_callback(_end)
            raise


class _KernelChannel(Channel):
    """A kernel's messages. The socket below carries the first frame and tells when the kernel has ended."""

    _client: AsyncKernelClient | None = None

    async def connect(self, file: Path, context: Any) -> None:
        """Connect to a kernel that listens.

        Raises:
            RuntimeError: it does not answer.
        """
        from jupyter_client.asynchronous.client import AsyncKernelClient

        client = self._client = AsyncKernelClient(context=context)
        client.load_connection_file(str(file))
        client.start_channels(stdin=False, hb=False, control=False)
        await client.wait_for_ready(timeout=_READY_S)

    async def ask(self, call: str, code: bytes, limits: Limits) -> tuple[Reply, list[bytearray]]:
        """Run one cell; see `Channel.ask`."""
        self.check_silent()
        assert self._client is not None
        outputs = Outputs(limits)
        # An error must not make the kernel refuse the next cell, should that come at once.
        asked = self._client.execute(code.decode("utf-8", "replace"), allow_stdin=False, stop_on_error=False)
        answer = asyncio.create_task(self._answer(asked, outputs))
        ended = asyncio.create_task(self._exactly(1))
        try:
            await asyncio.wait({answer, ended}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                answer.result()
            else:
                ended.result()
                raise wire.WireError("bytes outside a call")
        finally:
            answer.cancel()
            ended.cancel()
            await asyncio.gather(answer, ended, return_exceptions=True)
        return await asyncio.to_thread(outputs.reply, call)

    def disconnect(self) -> None:
        """Close the sockets; in the event loop's thread."""
        if self._client is not None:
            self._client.stop_channels()

    async def _answer(self, asked: str, outputs: Outputs) -> None:
        idle = asyncio.create_task(self._until_idle(asked, outputs))
        try:
            content = await self._reply(asked)
            seen = -1
            # The kernel drops messages that nobody takes in time, the one that it is idle among them.
            while not idle.done() and seen != outputs.messages:
                seen = outputs.messages
                await asyncio.wait({idle}, timeout=_QUIET_S)
            if idle.done():
                idle.result()
            outputs.failed |= content.get("status") != "ok"
            outputs.page(content.get("payload"))
        finally:
            idle.cancel()
            await asyncio.gather(idle, return_exceptions=True)

    async def _reply(self, asked: str) -> dict[str, Any]:
        assert self._client is not None
        while True:
            kind, content = await _message(self._client.get_shell_msg, asked)
            if kind == "execute_reply":
                return content

    async def _until_idle(self, asked: str, outputs: Outputs) -> None:
        assert self._client is not None
        while True:
            kind, content = await _message(self._client.get_iopub_msg, asked)
            if kind == "status" and content.get("execution_state") == "idle":
                return
            outputs.add(kind, content)


class _Kernel(Child):
    """One session's kernel."""

    channel: _KernelChannel

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        channel: socket.socket,
        images: list[tuple[int, int, int]],
        folder: Path,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(process, channel, images, folder)
        self.channel = _KernelChannel(channel)
        self.connection = folder / "kernel.json"
        self._loop = loop

    def interrupt(self) -> None:
        """Ask the cell, and what it started by a `!` line, to stop (SIGINT)."""
        self._signal(signal.SIGINT, group=True)

    def reap(self) -> int:
        """See `Child.reap`."""
        closed: Future[None] = Future()

        def close() -> None:
            try:
                self.channel.disconnect()
            finally:
                closed.set_result(None)

        with suppress(RuntimeError, TimeoutError):
            # ZeroMQ's sockets belong to the event loop's thread. A loop that has ended needs no tidying up.
            self._loop.call_soon_threadsafe(close)
            closed.result(_CLOSE_S)
        return super().reap()


async def _message(receive: Any, asked: str) -> tuple[str, dict[str, Any]]:
    """The next message about the request `asked`, and its kind.

    Raises:
        WireError: what came is no message.
    """
    while True:
        try:
            message = await receive()
            parent, kind, content = message["parent_header"], message["header"]["msg_type"], message["content"]
            if parent.get("msg_id") == asked and isinstance(kind, str) and isinstance(content, dict):
                return kind, content
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise wire.WireError(f"no message: {one_line(error, 100)}") from error


def _launch(root: Path, images: Sequence[ImageFile], loop: asyncio.AbstractEventLoop) -> Child:
    """Start a kernel in a new folder under `root`; blocks for milliseconds.

    Raises:
        DataError: an image cannot be read.
        OSError: no process, folder or descriptor can be had.
    """
    from jupyter_client.connect import write_connection_file

    with ExitStack() as failed, ExitStack() as always:
        encoded = [image.read() for image in images]
        folder = Path(tempfile.mkdtemp(prefix="session-", dir=root))
        failed.callback(shutil.rmtree, folder, ignore_errors=True)
        (work := folder / "work").mkdir()
        # Gone with its last descriptor.
        file = always.enter_context(tempfile.TemporaryFile(dir=folder))
        placed, at = [], 0
        for data in encoded:
            placed.append((file.fileno(), at, len(data)))
            at += file.write(data)
        file.flush()
        place = str(folder / "k")
        where = ("ipc", place) if len(os.fsencode(place)) + 8 <= _MAX_PATH else ("tcp", "127.0.0.1")
        key = os.urandom(32).hex().encode()
        write_connection_file(str(folder / "kernel.json"), transport=where[0], ip=where[1], key=key)
        host, guest = socket.socketpair()
        always.enter_context(guest)
        failed.enter_context(host)
        host.setblocking(False)
        backend = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
        process = subprocess.Popen(
            [*command("notebook"), str(guest.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=work,
            env=environment(root, work) | backend,
            pass_fds=(guest.fileno(), file.fileno()),
            start_new_session=True,
        )
        failed.pop_all()
        return _Kernel(process, host, placed, folder, loop)


def _end(future: Future[Child]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().kill()
        # Its own thread: this one may be the event loop's, which `reap` waits for.
        import threading

        threading.Thread(target=future.result().reap).start()
