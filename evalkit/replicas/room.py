"""What a replica needs of a machine, how many fit, and what is refused before anything starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec

from evalkit.errors import EvalkitError
from evalkit.models import IN_PROCESS, ModelCard
from evalkit.runs.setup import EngineSettings

_ENGINES = (*IN_PROCESS, "scripted", "replay")
_GET = "pip install 'evalkit[ray]'"


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What one replica takes of a machine."""

    cpus: float
    gpus: int = 0

    def __str__(self) -> str:
        return f"{self.gpus} GPU{'s' if self.gpus > 1 else ''}" if self.gpus else f"{self.cpus:g} CPU"


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A machine of the cluster, with all it has, taken or not."""

    name: str
    cpus: float = 0.0
    gpus: float = 0.0

    def __str__(self) -> str:
        return f"{self.name}: {self.cpus:g} CPUs, {self.gpus:g} GPUs"

    def holds(self, ask: Ask) -> int:
        """How many replicas it has room for."""
        rooms = [int(self.cpus // ask.cpus)] + ([int(self.gpus // ask.gpus)] if ask.gpus else [])
        return min(rooms)


def threads(ask: Ask, nodes: Sequence[Node]) -> int:
    """Threads for the arithmetic of each process of a replica, which has one a GPU.

    All replicas that a machine has room for share its processors, and the machine with the least decides.
    """
    shares = [node.cpus // (node.holds(ask) * max(1, ask.gpus)) for node in nodes if node.holds(ask)]
    return max(1, int(min(shares, default=1)))


def fleet_problems(card: ModelCard, settings: EngineSettings) -> Iterator[str]:
    """Why replicas of a model cannot be had, if so; a line each."""
    if settings.serve or card.engine not in _ENGINES:
        yield (
            f"--replicas and --ray do nothing with --engine {card.engine}: "
            "its servers are the replicas, repeat --base-url for each"
        )
    elif find_spec("ray") is None:
        yield f"--replicas and --ray need Ray: {_GET}"
    if card.weights.folder and not Path(card.weights.folder).is_dir():
        yield (
            f"{card.name}: {card.weights.folder} is not on this machine, which compares it with that of the replicas"
        )


def asked_of(card: ModelCard, settings: EngineSettings, nodes: Sequence[Node], replicas: int | None) -> Ask:
    """What one replica takes.

    A model runs on GPUs where its card or `--device` says so, or where there are any. Without them the processors of
    the nodes are shared out.
    """
    loads = card.engine in IN_PROCESS
    if loads and settings.device != "cpu":
        there = any(node.gpus for node in nodes)
        if card.needs.gpu_gb or settings.device == "cuda" or there:
            return Ask(cpus=1, gpus=card.vllm.tensor_parallel if card.engine == "vllm" else 1)
    if not loads:
        return Ask(cpus=1)
    processors = [node.cpus for node in nodes if node.cpus]
    each = -(-(replicas or 1) // max(1, len(processors)))
    return Ask(cpus=max(1.0, min((cpus // each for cpus in processors), default=1.0)))


def wanted(ask: Ask, nodes: Sequence[Node], replicas: int | None) -> int:
    """How many replicas there are to be: those asked for, or as many as fit (without GPUs, as many as nodes).

    Raises:
        EvalkitError: they do not fit.
    """
    rooms = [node.holds(ask) for node in nodes]
    there = "; ".join(map(str, nodes[:8])) + (f"; and {len(nodes) - 8} more" if len(nodes) > 8 else "")
    if ask.gpus and not any(rooms):
        most = max((node.gpus for node in nodes), default=0)
        way = "vllm serve can spread it: then --engine openai --base-url URL" if ask.gpus > 1 else "use --device cpu"
        raise EvalkitError(
            f"a replica takes {ask} of one machine, and no machine has more than {most:g} ({there}); "
            + (f"a model larger than that: {way}" if ask.gpus > 1 else f"without a GPU: {way}")
        )
    if replicas is None:
        return sum(rooms) if ask.gpus else sum(map(bool, rooms))
    if sum(rooms) < replicas:
        raise EvalkitError(
            f"--replicas {replicas}: {replicas} x {ask} are asked for, and {sum(rooms)} fit: the cluster has {there}"
        )
    return replicas
