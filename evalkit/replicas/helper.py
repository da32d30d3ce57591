"""The process that drives Ray for evalkit: `python -m evalkit.replicas.helper DESCRIPTOR`; see `cluster`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import threading
from typing import Any, NoReturn
from uuid import uuid4

import msgspec
import ray
from ray.exceptions import ActorDiedError, RayError, RayTaskError
from ray.util import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from evalkit.errors import one_line
from evalkit.replicas.cluster import Asked, Settings, answer_of
from evalkit.replicas.frame import encode, pack, read, unpack, write
from evalkit.replicas.host import Host
from evalkit.replicas.room import Ask, Node, threads

_CALLS = 100_000
"""Calls at once in an actor: evalkit itself holds back what is beyond a replica's limit."""
_STORE_BYTES = 2**30
_LEAST_BYTES = 80 * 2**20
_LEAVE_S = 15.0
_LOOK_S = 10.0
_STARTS = 3
_VARIABLES = {
    # a sandbox ends with its replica by itself, and removes its folder, which it could not if Ray killed it
    "RAY_kill_child_processes_on_worker_exit": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


class _Placed:
    """A replica's place in the cluster, and its process."""

    def __init__(self, group: Any) -> None:
        self.group = group
        self.actor: Any = None


class Helper:
    """Does what evalkit asks, and ends with it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._writing = asyncio.Lock()
        self._placed: dict[int, _Placed] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.settings: Settings | None = None

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Take questions until evalkit is gone, or has said that it is enough."""
        with contextlib.suppress(EOFError):
            while True:
                head, (data,) = unpack(await read(reader))
                asked = msgspec.json.decode(head, type=Asked)
                task = asyncio.create_task(self._answer(asked, bytes(data)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _answer(self, asked: Asked, data: bytes) -> None:
        found = b""
        try:
            if asked.what == "open" and asked.settings is not None:
                answer = await self._open(asked, asked.settings)
            elif asked.what == "place" and asked.ask is not None:
                answer = answer_of(asked, node=await self._place(asked.replica, asked.ask, asked.limit_s))
            elif asked.what == "call":
                if (actor := self._placed[asked.replica].actor) is None:
                    raise TimeoutError("its process is being replaced")
                found = await getattr(actor, asked.method).remote(data) or b""
                answer = answer_of(asked)
            else:
                await self._close()
                answer = answer_of(asked)
        except RayTaskError as error:
            answer = answer_of(asked, refused=f"a replica failed: {one_line(error.cause, 500)}")
        except (RayError, TimeoutError) as error:
            await self._look()
            answer = answer_of(asked, gone=_why(error))
        except Exception as error:
            await self._look()
            answer = answer_of(asked, refused=f"{type(error).__name__}: {one_line(error, 500)}")
        with contextlib.suppress(OSError):
            async with self._writing:
                await write(self._writer, pack(encode(answer), [found]))

    async def _look(self) -> None:
        """End this process where Ray on this machine is gone: it would wait for ever for what cannot come."""
        if not ray.is_initialized():
            return
        # what Ray cannot say now, it will: the question that this is about needs its answer all the same
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_LOOK_S):
                own = ray.get_runtime_context().get_node_id()
                if not any(node["Alive"] for node in await asyncio.to_thread(ray.nodes) if node["NodeID"] == own):
                    print("RayLost: its process on this machine has ended", file=sys.stderr, flush=True)
                    _end()

    async def _open(self, asked: Asked, settings: Settings) -> Asked:
        self.settings = settings
        try:
            await asyncio.to_thread(_connect, settings)
        except Exception as error:
            # whatever keeps Ray from starting is the user's to read
            where = settings.address or "evalkit's own"
            return answer_of(asked, refused=f"no Ray cluster ({where}): {one_line(error, 500)}")
        return answer_of(asked, nodes=await asyncio.to_thread(_nodes))

    async def _place(self, replica: int, ask: Ask, limit_s: float) -> str:
        placed = self._placed.get(replica)
        if placed is None:
            bundle = {"CPU": ask.cpus, **({"GPU": ask.gpus} if ask.gpus else {})}
            group = await asyncio.to_thread(placement_group, [bundle], strategy="STRICT_PACK")
            placed = self._placed[replica] = _Placed(group)
        if placed.actor is not None:
            await asyncio.to_thread(ray.kill, placed.actor)
            placed.actor = None
        async with asyncio.timeout(limit_s):
            if not await asyncio.to_thread(placed.group.wait, limit_s):
                raise TimeoutError(f"no machine of the cluster had {ask} free within {limit_s:g} s")
            count = threads(ask, await asyncio.to_thread(_nodes))
            placed.actor = (
                ray.remote(Host)
                .options(
                    num_cpus=ask.cpus,
                    num_gpus=ask.gpus,
                    max_restarts=0,
                    max_task_retries=0,
                    max_concurrency=_CALLS,
                    # without it Ray leaves image processing beside a GPU one thread
                    runtime_env={"env_vars": {**_VARIABLES, "OMP_NUM_THREADS": str(count)}},
                    scheduling_strategy=PlacementGroupSchedulingStrategy(placed.group, 0),
                )
                .remote()
            )
            await placed.actor.ready.remote()
            table = await asyncio.to_thread(ray.util.placement_group_table, placed.group)
        (node,) = table["bundles_to_node_id"].values()
        nodes = await asyncio.to_thread(ray.nodes)
        return next((_name(each) for each in nodes if each["NodeID"] == node), node[:8])

    async def _close(self) -> None:
        """Let all replicas come to their end in peace, those that can still hear it."""
        actors = [placed.actor for placed in self._placed.values() if placed.actor is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_S):
                await asyncio.gather(*(actor.close.remote() for actor in actors), return_exceptions=True)

    def _leave(self) -> None:
        placed, self._placed = self._placed, {}
        for each in placed.values():
            with contextlib.suppress(Exception):
                if each.actor is not None:
                    ray.kill(each.actor)
                remove_placement_group(each.group)
        ray.shutdown()

    def leave(self) -> None:
        """Leave the cluster, in limited time whatever state it is in."""
        thread = threading.Thread(target=self._leave, daemon=True)
        thread.start()
        thread.join(_LEAVE_S)
        if self.settings is not None:
            shutil.rmtree(self.settings.folder, ignore_errors=True)


def _connect(settings: Settings) -> None:
    common = {"log_to_driver": False, "namespace": f"evalkit-{uuid4()}", "logging_level": "warning"}
    if settings.address:
        ray.init(address=settings.address, **common)
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for left in reversed(range(_STARTS)):
        try:
            ray.init(
                address="local",
                num_cpus=max(os.cpu_count() or 1, settings.replicas or 1),
                object_store_memory=max(_LEAST_BYTES, min(_STORE_BYTES, memory // 16)),
                include_dashboard=False,
                # Ray opens its folder to all; the one around it stays closed
                _temp_dir=os.path.join(settings.folder, "r"),
                **common,
            )
            return
        except Exception:
            # Ray gives its own processes half a minute, which a machine with much to do does not always keep
            ray.shutdown()
            if not left:
                raise


def _nodes() -> tuple[Node, ...]:
    return tuple(
        Node(name=_name(node), cpus=node["Resources"].get("CPU", 0), gpus=node["Resources"].get("GPU", 0))
        for node in ray.nodes()
        if node["Alive"]
    )


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})"


def _why(error: Exception) -> str:
    """Ray's reason in few words; its own are a page."""
    text = str(error)
    if isinstance(error, TimeoutError):
        return one_line(text) or "it did not start in time"
    known = {
        "No module named 'evalkit": "evalkit is not installed on its machine",
        "node running low on memory": "its machine ran out of memory",
        "node has died": "its machine is gone",
        "node was dead": "its machine is gone",
    }
    for words, meaning in known.items():
        if words in text:
            return meaning
    return "its process ended" if isinstance(error, ActorDiedError) else one_line(text, 200)


async def _serve(descriptor: int) -> None:
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    helper = Helper(writer)
    await helper.serve(reader)
    helper.leave()


def _end() -> NoReturn:
    """End at once, and with it what Ray has left of a cluster of evalkit's own: it is in this process's group."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
    # threads of Ray's that wait for a dead cluster must not keep the process
    _end()
