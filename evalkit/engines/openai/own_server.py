"""`--serve`: an engine that brings its own vLLM server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evalkit.engines.base import Completion, Request
from evalkit.engines.openai.engine import OpenAIEngine
from evalkit.engines.openai.process import ServerProcess, free_port
from evalkit.errors import EngineUnavailableError, EvalkitError
from evalkit.secrets import command_without_secrets

COMMAND_VARIABLE = "EVALKIT_VLLM"
_KEY_VARIABLE = "EVALKIT_SERVED_KEY"
_START_S = 1800.0


def server_command() -> list[str]:
    """The command that starts a vLLM server: the one in EVALKIT_VLLM, else this Python's vLLM, else `vllm serve`.

    Raises:
        EvalkitError: there is none.
    """
    if given := os.environ.get(COMMAND_VARIABLE, "").strip():
        return shlex.split(given)
    if find_spec("vllm") is not None:
        return [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    if (found := shutil.which("vllm")) is not None:
        return [found, "serve"]
    raise EvalkitError(
        "--serve needs vLLM: pip install 'evalkit[vllm]', or name its command in the environment variable "
        f"{COMMAND_VARIABLE}, e.g. '/opt/vllm/bin/python -m vllm.entrypoints.openai.api_server'"
    )


class ServedEngine:
    """Starts a server for a model's weights on a free port, asks it, and stops it at the end.

    Args:
        weights: folder or hub id.
        name: under which the model is served.
        log: file for the server's words.
        arguments: further options of `vllm serve`.
        timeout_s: see `OpenAIEngine`.
        connections: see `OpenAIEngine`.
        stream: see `OpenAIEngine`.
        start_s: how long the server may take to start, in seconds.
        say: is told how the start goes.
    """

    def __init__(
        self,
        *,
        weights: str,
        name: str,
        log: Path,
        arguments: Sequence[str] = (),
        timeout_s: float = 600.0,
        connections: int = 256,
        stream: bool = False,
        start_s: float = _START_S,
        say: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
    ) -> None:
        self._weights = weights
        self._name = name
        self._log = log
        self._arguments = list(arguments)
        self._timeout_s = timeout_s
        self._connections = connections
        self._stream = stream
        self._start_s = start_s
        self._say = say
        self._command = server_command()
        self._server: ServerProcess | None = None
        self._engine: OpenAIEngine | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> dict[str, Any]:
        """Start the server and wait until it serves the model.

        Returns:
            See `OpenAIEngine.start`; besides, served_by: the command, without the port.

        Raises:
            EngineUnavailableError: the server ended or is not ready in time; with its last words.
        """
        await self.close()
        port = free_port()
        model = [self._weights] if self._command[-1] == "serve" else ["--model", self._weights]
        command = [*self._command, *model, "--served-model-name", self._name, *self._arguments]
        # a key set for other servers would lock this one
        variables = {name: value for name, value in os.environ.items() if name != "VLLM_API_KEY"}
        server = ServerProcess([*command, "--host", "127.0.0.1", "--port", str(port)], self._log, variables)
        engine = OpenAIEngine(
            base_url=f"http://127.0.0.1:{port}/v1",
            model=self._name,
            api_key_env=_KEY_VARIABLE,
            timeout_s=self._timeout_s,
            connections=self._connections,
            stream=self._stream,
        )
        self._server, self._engine = server, engine
        try:
            await server.start()
            await server.ready(f"http://127.0.0.1:{port}/health", self._start_s, self._say)
            found = await engine.start()
        except BaseException:
            await self.close()
            raise
        self._watch = asyncio.create_task(self._mind(server, engine))
        settings = f" {shlex.join(self._arguments)}" if self._arguments else ""
        shown = shlex.join(command_without_secrets(command))
        return {**found, "identity": f"{found['identity']}{settings}", "served_by": shown}

    def facts(self) -> list[dict[str, Any]]:
        """See `OpenAIEngine.facts`."""
        return self._engine.facts() if self._engine is not None else []

    async def generate(self, request: Request) -> Completion:
        """See `OpenAIEngine.generate`; a server that has ended is an EngineUnavailableError with its last words."""
        if self._engine is None:
            raise EngineUnavailableError("the engine is not started, or closed already")
        return await self._engine.generate(request)

    async def close(self) -> None:
        """Stop the server; safe to call twice."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        engine, self._engine = self._engine, None
        server, self._server = self._server, None
        try:
            if engine is not None:
                await engine.close()
        finally:
            if server is not None:
                await server.stop()

    async def _mind(self, server: ServerProcess, engine: OpenAIEngine) -> None:
        await server.ended()
        engine.abandon(server.obituary())


def vllm_arguments(
    *,
    dtype: str,
    revision: str | None,
    tensor_parallel: int,
    max_model_len: int | None,
    memory_share: float | None,
    enforce_eager: bool,
    min_pixels: int | None,
    max_pixels: int | None,
) -> list[str]:
    """A model card's settings as options of `vllm serve`; see `VllmEngine` for their meaning.

    Raises:
        EvalkitError: only one of the pixel bounds is given.
    """
    found = ["--limit-mm-per-prompt", '{"video": 0}', "--dtype", dtype]
    for option, value in (
        ("--revision", revision),
        ("--max-model-len", max_model_len),
        ("--gpu-memory-utilization", memory_share),
    ):
        if value is not None:
            found += [option, str(value)]
    if tensor_parallel > 1:
        found += ["--tensor-parallel-size", str(tensor_parallel)]
    if enforce_eager:
        found.append("--enforce-eager")
    if (min_pixels is None) != (max_pixels is None):
        raise EvalkitError("--serve: give both --min-pixels and --max-pixels, or neither")
    if min_pixels is not None:
        size = {"size": {"shortest_edge": min_pixels, "longest_edge": max_pixels}}
        found += ["--mm-processor-kwargs", json.dumps(size)]
    return found
