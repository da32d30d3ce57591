"""Starting and ending the server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable

from aiohttp import web

from evalkit.errors import EvalkitError
from evalkit.viewer.app import make_app
from evalkit.viewer.guard import new_token
from evalkit.viewer.source import Source

HOST = "127.0.0.1"
_PATIENCE_S = 1.0


async def serve(source: Source, port: int = 0, ready: Callable[[str], object] = print) -> None:
    """Serve until the process is interrupted or terminated.

    Args:
        source: what is shown.
        port: 0 takes a free one.
        ready: is told the address, token included, once it answers.

    Raises:
        EvalkitError: the port cannot be had.
    """
    with _listen(port) as listener:
        port = listener.getsockname()[1]
        token, stopped, loop = new_token(), asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        runner = web.AppRunner(
            make_app(source, token, port), access_log=None, logger=_nobody(), shutdown_timeout=_PATIENCE_S
        )
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            ready(f"http://{HOST}:{port}/?token={token}")
            # many runs take a while to read: the first page is begun before anybody asks for it
            first = asyncio.create_task(_made(source))
            await stopped.wait()
            first.cancel()
        finally:
            await runner.cleanup()


def _nobody() -> logging.Logger:
    """A log that is not kept: what is no request is answered, and is no business of the reader's terminal."""
    logger = logging.Logger("evalkit.viewer")
    logger.addHandler(logging.NullHandler())
    return logger


async def _made(source: Source) -> None:
    with contextlib.suppress(EvalkitError):
        await source.page()


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise EvalkitError(f"--port {port}: {error.strerror}; leave it out for a free one") from error
    return listener
