"""Where a run's folder is while it goes on, and that its store has everything in the end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from evalkit.cli._run_folder import folder_for
from evalkit.errors import ExitCode
from evalkit.runs.folder import INFO, RunInfo
from evalkit.runs.remote.address import address_of_spool

if TYPE_CHECKING:
    from evalkit.runs.remote.run import RemoteRun

T = TypeVar("T")

_NAMES = 100


class RunPlace:
    """A run's folder; one that stands for object storage is fetched before and sent while it is filled.

    Args:
        out: folder of run folders.
        named: the run folder that the user names.
        fresh: see `folder_for`.
        say: shows one line to the user.

    Attributes:
        code: `INFRASTRUCTURE` where the store lacks something in the end.
    """

    def __init__(self, out: Path, named: Path | None, fresh: bool, say: Callable[[str], None]) -> None:
        self.code = ExitCode.OK
        self._out, self._named, self._fresh, self._say = out, named, fresh, say
        self._remote: RemoteRun | None = None

    async def __aenter__(self) -> RunPlace:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        remote, self._remote = self._remote, None
        if remote is None:
            return
        if problem := await _in_thread(lambda: remote.close(hurry=error is not None)):
            self._say(problem)
            self.code = ExitCode.INFRASTRUCTURE
        elif error is None or isinstance(error, asyncio.CancelledError):
            self._say(f"run folder: {remote.address}")

    async def folder(self, info: RunInfo) -> Path:
        """Find the folder or make it.

        Args:
            info: what is to run.

        Raises:
            EvalkitError: see `folder_for`.
            InfrastructureError: the store cannot be reached, or another process fills the run there.
        """
        if address_of_spool(self._named or self._out) is None:
            return folder_for(info, self._out, self._named, fresh=self._fresh)
        return await _in_thread(lambda: self._opened(info))

    def _opened(self, info: RunInfo) -> Path:
        from evalkit.runs.remote.lock import InUseError
        from evalkit.runs.remote.run import RemoteRun, bring_infos

        out = address_of_spool(self._out)
        if self._named is not None:
            address = address_of_spool(self._named)
            assert address is not None
            self._remote = RemoteRun(address, self._say)
            return folder_for(info, self._out, self._named, fresh=self._fresh)
        assert out is not None
        bring_infos(out, self._say)
        folder = folder_for(info, self._out, None, fresh=self._fresh)
        if (folder / INFO).is_file():
            self._remote = RemoteRun(out / folder.name, self._say)
            return folder
        for _ in range(_NAMES):
            try:
                self._remote = RemoteRun(out / folder.name, self._say, new=True)
                return folder
            except InUseError:
                # others may start on the same store in the same second, and take the same name
                with contextlib.suppress(OSError):
                    folder.rmdir()
                folder = folder_for(info, self._out, None, fresh=True)
        raise InUseError(f"no free name for a run folder in {out}")


async def _in_thread(work: Callable[[], T]) -> T:
    """What the work gives; whoever stops the command does not wait for it to end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def told(tell: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):
            # the loop may be closed by now
            loop.call_soon_threadsafe(lambda: None if done.done() else tell())

    def go() -> None:
        try:
            made = work()
        except BaseException as error:
            failure = error
            told(lambda: done.set_exception(failure))
        else:
            told(lambda: done.set_result(made))

    threading.Thread(target=go, name="evalkit-fetch", daemon=True).start()
    return await done
