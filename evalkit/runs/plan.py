"""What a run is, resolved: everything that can change a figure, as a tree of plain values with a hash.

Where the run happens (base URL, device, concurrency, machine) is recorded beside it and left out of the hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.agents.loop import Agent
from evalkit.images import ImageFile
from evalkit.models import IN_PROCESS, ModelCard
from evalkit.records import RECORD_VERSION, Sample
from evalkit.task import Task

_PROBES, _PROBE = 64, 2**16


def config_of(
    *,
    task: Task,
    samples: Sequence[Sample],
    card: ModelCard,
    identity: str,
    agent: Agent,
    sandbox: Mapping[str, Any],
    search: Mapping[str, Any] | None = None,
    judge: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The configuration of one task's run.

    Args:
        task: with its options.
        samples: those selected.
        card: the model.
        identity: what the engine says it runs (a served model's name, a commit, a script's digest).
        agent: protocol, tools, sampling and limits.
        sandbox: limits of the code tool's sessions; empty without one.
        search: what each search tool asks; None or empty without one.
        judge: identity of the judge that the task's scoring asks; None without one.
    """
    return {
        "records": RECORD_VERSION,
        "task": task_config(task, samples),
        "model": {
            "name": card.name,
            "weights": weights_id(card),
            "identity": identity,
            # a server has settings of its own
            "dtype": card.weights.dtype if card.engine in IN_PROCESS else None,
            "pixels": msgspec.to_builtins(card.pixels) if card.engine in IN_PROCESS else None,
            **({"max_model_len": card.vllm.max_model_len} if card.engine == "vllm" else {}),
            **({"fields": card.served.fields} if card.engine == "openai" and card.served.fields else {}),
            **(msgspec.to_builtins(card.transformers) if card.engine == "transformers" else {}),
        },
        "engine": card.engine,
        "protocol": {
            "name": agent.protocol.name,
            "version": agent.protocol.version,
            "system_prompt": digest(agent.system_prompt.encode()),
            "tools": list(agent.tools),
            "declarations": digest(msgspec.json.encode(agent.declarations)),
            **({"quirks": sorted(agent.protocol.quirks_on)} if agent.protocol.quirks_on else {}),
        },
        "sandbox": dict(sandbox),
        **({"search": dict(search)} if search else {}),
        "sampling": msgspec.to_builtins(agent.sampling),
        "limits": msgspec.to_builtins(agent.limits),
        # a key only where there is one, so that runs without keep their hash
        **({"judge": dict(judge)} if judge else {}),
    }


def task_config(task: Task, samples: Sequence[Sample] | Fingerprint) -> dict[str, Any]:
    """The `task` part of a configuration: which benchmark under which options, and a digest of its rows."""
    return {
        "name": task.name,
        "version": task.version,
        "source": task.source.kind,
        "dataset": msgspec.to_builtins(task.source.hub),
        "revision": task.revision,
        "options": dict(task.settings),
        **({"prompts": msgspec.to_builtins(task.prompts)} if task.prompts else {}),
        "rows": len(samples),
        "fingerprint": samples.hex if isinstance(samples, Fingerprint) else fingerprint(samples),
    }


def config_hash(config: Mapping[str, Any]) -> str:
    """Hex digest of a configuration, independent of key order."""
    return digest(msgspec.json.encode(config, order="sorted"))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The keys in which two configurations differ, as "key: old -> new"."""
    a, b = dict(flat(old)), dict(flat(new))
    return [f"{key}: {a.get(key)} -> {b.get(key)}" for key in sorted({*a, *b}) if a.get(key) != b.get(key)]


class Fingerprint:
    """Digest of rows that are seen one at a time: see `fingerprint`."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._count = 0
        self._marks: dict[str, str] = {}

    def __len__(self) -> int:
        return self._count

    def add(self, sample: Sample) -> None:
        """Take in the next row."""
        images = [((image.path or Path(image.name)).name, self._mark(image)) for image in sample.images]
        self._sha.update(msgspec.json.encode((msgspec.structs.replace(sample, images=()), images)))
        self._count += 1

    def _mark(self, image: ImageFile) -> str:
        """Many rows may share a file: it is opened once."""
        if image.path is None:
            return image.mark()
        file = str(image.path)
        if file not in self._marks:
            self._marks[file] = image.mark()
        return self._marks[file]

    @property
    def hex(self) -> str:
        """Of the rows so far."""
        return self._sha.hexdigest()[:16]


def fingerprint(samples: Iterable[Sample]) -> str:
    """Digest of the rows: all that a prompt, a score or a metric may use, and a mark of each image's content."""
    found = Fingerprint()
    for sample in samples:
        found.add(sample)
    return found.hex


def weights_id(card: ModelCard) -> str:
    """Which weights: the hub id and revision, or a digest of a folder's files.

    Large files are read at 64 places of 64 KiB, evenly spread: two checkpoints of one training differ in
    nearly every tensor, and reading 30 GB to tell them apart would cost minutes.
    """
    if not card.weights.folder:
        return f"{card.weights.hub}@{card.weights.revision or 'newest'}" if card.weights.hub else ""
    digest = hashlib.sha256()
    root = Path(card.weights.folder)
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        size = path.stat().st_size
        digest.update(f"{path.relative_to(root)}:{size}".encode())
        with path.open("rb") as file:
            if size <= _PROBES * _PROBE:
                digest.update(file.read())
                continue
            for probe in range(_PROBES):
                file.seek((size - _PROBE) * probe // (_PROBES - 1))
                digest.update(file.read(_PROBE))
    return digest.hexdigest()[:16]


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The leaves of a configuration as ("task.name", value)."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def digest(data: bytes) -> str:
    """What stands in a configuration for a text of any length."""
    return hashlib.sha256(data).hexdigest()[:16]
