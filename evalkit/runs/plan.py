"""What a run is, resolved: everything that can change a figure, as a tree of plain values with a hash.

Where the run happens (base URL, device, concurrency, machine) is recorded beside it and left out of the hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from evalkit.agents.loop import Agent
from evalkit.models import ModelCard
from evalkit.records import RECORD_VERSION, Sample
from evalkit.task import Task

_HASH_WHOLE = 64 * 2**20


def config_of(
    *, task: Task, samples: list[Sample], limit: int | None, card: ModelCard, served: str, agent: Agent
) -> dict[str, Any]:
    """The configuration of one task's run.

    Args:
        task: with its options.
        samples: those selected, after `limit`.
        limit: as asked for.
        card: the model.
        served: what the engine says it runs (a served model's name, a script's digest).
        agent: protocol, tools, sampling and limits.
    """
    source = task.source
    return {
        "records": RECORD_VERSION,
        "task": {
            "name": task.name,
            "version": task.version,
            "source": source.kind,
            "dataset": msgspec.to_builtins(source.hub),
            "revision": task.revision,
            "options": dict(task.settings),
            "limit": limit,
            "rows": len(samples),
            "fingerprint": fingerprint(samples),
        },
        "model": {
            "name": card.name,
            "weights": weights_id(card),
            "served": served,
            "dtype": card.weights.dtype,
            "pixels": msgspec.to_builtins(card.pixels),
        },
        "engine": card.engine,
        "protocol": {
            "name": agent.protocol.name,
            "version": agent.protocol.version,
            "system_prompt": _digest(agent.system_prompt.encode()),
            "tools": list(agent.tools),
        },
        "sampling": msgspec.to_builtins(agent.sampling),
        "limits": msgspec.to_builtins(agent.limits),
    }


def config_hash(config: Mapping[str, Any]) -> str:
    """Hex digest of a configuration, independent of key order."""
    return _digest(msgspec.json.encode(config, order="sorted"))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The keys in which two configurations differ, as "key: old -> new"."""
    a, b = dict(flat(old)), dict(flat(new))
    return [f"{key}: {a.get(key)} -> {b.get(key)}" for key in sorted({*a, *b}) if a.get(key) != b.get(key)]


def fingerprint(samples: Iterable[Sample]) -> str:
    """Digest of the rows as asked: ids, texts, answers and the names of their images (not their pixels)."""
    digest = hashlib.sha256()
    for sample in samples:
        names = [Path(image.name).name for image in sample.images]
        fields = (sample.id, sample.question, sample.answer, sample.choices, names)
        digest.update(msgspec.json.encode(fields))
    return digest.hexdigest()[:16]


def weights_id(card: ModelCard) -> str:
    """Which weights: the hub id and revision, or a digest of a folder (of names and sizes where it is large)."""
    if not card.weights.folder:
        return f"{card.weights.hub}@{card.weights.revision or 'newest'}" if card.weights.hub else ""
    digest = hashlib.sha256()
    for file in sorted(Path(card.weights.folder).glob("*")):
        if file.is_file():
            size = file.stat().st_size
            digest.update(f"{file.name}:{size}".encode())
            digest.update(file.read_bytes() if size <= _HASH_WHOLE else b"")
    return digest.hexdigest()[:16]


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The leaves of a configuration as ("task.name", value)."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
