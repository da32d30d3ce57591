"""A batch that could not be learned, kept to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from evalkit.errors import DataError, EvalkitError, one_line
from evalkit.hdpo import TokenCounts
from evalkit.runs.store import RunStore
from evalkit.training.credit import Group
from evalkit.training.learner import Lesson
from evalkit.training.processes import Processes
from evalkit.training.rollout import Sequence as Tokens

TENSORS = "batch.safetensors"
_KEYS = "image_keys"


def save_batch(
    out: Path | None,
    step: int,
    groups: Sequence[Group],
    lessons: Sequence[Lesson],
    tokens: TokenCounts,
    error: Exception,
) -> str:
    """Write the trajectories and the tensors that a loss without a value was made of; `load_batch` reads them.

    The weights that go with them are the newest checkpoint's.

    Args:
        out: folder for them; None writes nothing.
        step: in which it happened.
        groups: of the rollouts; none for recorded trajectories.
        lessons: what was learned from.
        tokens: what the loss's means are over.
        error: what happened.

    Returns:
        What to tell the user, in one line.
    """
    mend = "a lower --lr or a longer warm-up may help"
    if out is None:
        return f"{error}; {mend}"
    folder = out / f"failed-step-{step:06d}"
    tensors = {
        "accuracy": torch.tensor([lesson.accuracy for lesson in lessons]),
        "tool": torch.tensor([lesson.tool for lesson in lessons]),
        "counted": torch.tensor([float(tokens.accuracy), float(tokens.tool)], dtype=torch.float64),
    }
    keys = {f"{index}.{_KEYS}": " ".join(lesson.sequence.image_keys) for index, lesson in enumerate(lessons)}
    for index, lesson in enumerate(lessons):
        sequence = lesson.sequence
        tensors[f"{index}.tokens"] = sequence.tokens
        tensors[f"{index}.written"] = sequence.written
        if sequence.logprobs is not None:
            tensors[f"{index}.logprobs"] = sequence.logprobs
        for kind, values in (("media", sequence.media), ("per_token", sequence.per_token)):
            tensors.update({f"{index}.{kind}.{name}": value for name, value in values.items()})
    # a file refuses tensors that share memory, as those of equal images may
    apart = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    records = [rollout.record for group in groups for rollout in group.rollouts]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(apart, folder / TENSORS, metadata=keys)
        if records:
            with RunStore(folder) as store:
                for record in records:
                    store.append(record)
    except (OSError, SafetensorError, EvalkitError) as failed:
        return f"{error}; the batch could not be saved in {folder} ({one_line(failed, 160)}); {mend}"
    return f"{error}; the batch is saved in {folder}; {mend}"


def apart(out: Path | None, processes: Processes) -> Path | None:
    """Where a process's part of a batch goes: each has one of its own where there are several."""
    return out / f"process-{processes.rank}" if out is not None and processes.count > 1 else out


def load_batch(folder: Path) -> tuple[list[Lesson], TokenCounts]:
    """What `save_batch` wrote: the lessons and the token counts that `Learner.reinforce` was given.

    Args:
        folder: `failed-step-N` of a training.

    Raises:
        DataError: the file is not there, or damaged.
    """
    file = folder / TENSORS
    try:
        with safe_open(file, "pt") as opened:
            keys: dict[str, str] = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        advantages = zip(tensors["accuracy"].tolist(), tensors["tool"].tolist(), strict=True)
        lessons = [Lesson(_sequence(tensors, keys, index), *pair) for index, pair in enumerate(advantages)]
        return lessons, TokenCounts(*tensors["counted"].tolist())
    except (OSError, SafetensorError, KeyError) as error:
        raise DataError(f"cannot read {file}: {one_line(error, 200)}") from error


def _sequence(tensors: dict[str, torch.Tensor], keys: dict[str, str], index: int) -> Tokens:
    def part(kind: str) -> dict[str, torch.Tensor]:
        begin = f"{index}.{kind}."
        return {name.removeprefix(begin): value for name, value in tensors.items() if name.startswith(begin)}

    return Tokens(
        tokens=tensors[f"{index}.tokens"],
        written=tensors[f"{index}.written"],
        logprobs=tensors.get(f"{index}.logprobs"),
        per_token=part("per_token"),
        media=part("media"),
        image_keys=tuple(keys.get(f"{index}.{_KEYS}", "").split()),
    )
