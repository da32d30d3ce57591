"""Checkpoints: a model in Hugging Face form with what training needs to go on exactly as it was."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from evalkit.engines.transformers.engine import quiet_loading
from evalkit.errors import DataError, InfrastructureError, one_line
from evalkit.training.folder import CHECKPOINTS
from evalkit.training.policy import Policy

_STATE = "training.pt"
_KEPT = 2
_ADAPTER = "adapter_config.json"
_NAME = re.compile(r"step-(\d{6,})")
_TEXTS = {".json", ".jinja", ".txt", ".model", ".tiktoken"}
_OWN = {"config.json", _ADAPTER}
"""Files that are the model's own: all others of these kinds are its tokenizer's and its processor's."""


@dataclass(frozen=True)
class State:
    """Where a training stands.

    Attributes:
        step: steps behind it.
        drawn: samples behind it, see `evalkit.training.prompts.Stream`.
        optimizer: its state.
        rng: state of torch's generators in each process, that of its GPU second if it has one.
    """

    step: int
    drawn: int
    optimizer: dict[str, Any]
    rng: list[list[torch.Tensor]]


def save_checkpoint(out: Path, policy: Policy, state: State, files: Path) -> Path:
    """Write a checkpoint, whole or not at all; those before the last two lose the optimiser's state.

    Args:
        out: folder of the training.
        policy: its model; with LoRA the checkpoint has its matrices alone, in peft's form.
        state: where it stands.
        files: folder with the tokenizer's and the processor's files.

    Returns:
        The checkpoint's folder.

    Raises:
        InfrastructureError: the disk is full, or the place is not writable.
    """
    folder = out / CHECKPOINTS / f"step-{state.step:06d}"
    with _whole(folder) as part, quiet_loading():
        if policy.adapter is not None:
            policy.adapter.save_pretrained(part)
            # the form of a model card for a hub, with nothing filled in
            (part / "README.md").unlink(missing_ok=True)
        else:
            policy.model.save_pretrained(part)
        copy_files(files, part)
        values = {"step": state.step, "drawn": state.drawn, "optimizer": state.optimizer, "rng": state.rng}
        torch.save(values, part / _STATE)
    for _, earlier in checkpoints(out)[:-_KEPT]:
        (earlier / _STATE).unlink(missing_ok=True)
    return folder


def save_model(folder: Path, policy: Policy, files: Path) -> None:
    """Write the model as any program loads it, LoRA's matrices added to its weights.

    Args:
        folder: replaced if it is there.
        policy: see `save_checkpoint`.
        files: see `save_checkpoint`.

    Raises:
        InfrastructureError: see `save_checkpoint`.
    """
    with _whole(folder) as part, quiet_loading():
        if policy.adapter is None:
            policy.model.save_pretrained(part)
        else:
            policy.adapter.merge_adapter()
            try:
                merged = policy.model.state_dict().items()
                own = {name.replace(".base_layer.", "."): value for name, value in merged if ".lora_" not in name}
                policy.model.save_pretrained(part, state_dict=own)
            finally:
                policy.adapter.unmerge_adapter()
        copy_files(files, part)


def checkpoints(out: Path) -> list[tuple[int, Path]]:
    """The whole checkpoints of a training with their steps, oldest first."""
    found = [
        (int(match[1]), path) for path in (out / CHECKPOINTS).glob("step-*") if (match := _NAME.fullmatch(path.name))
    ]
    return sorted(found)


def newest(out: Path) -> Path | None:
    """The checkpoint from which a training goes on; None where there is none."""
    found = [path for _, path in checkpoints(out) if (path / _STATE).is_file()]
    return found[-1] if found else None


def steps_behind(out: Path) -> int:
    """Steps after which a training would go on."""
    folder = newest(out)
    return next((step for step, path in checkpoints(out) if path == folder), 0)


def restore(folder: Path, policy: Policy) -> State:
    """Put a checkpoint's weights into the model, and tell where it stood.

    Nothing in a checkpoint is executed: weights are safetensors, the state is read as plain tensors and numbers.

    Raises:
        DataError: the checkpoint is damaged, or of a model of another architecture.
    """
    if policy.adapter is not None:
        _restore_adapter(folder, policy)
    else:
        _restore_model(folder, policy)
    try:
        values = torch.load(folder / _STATE, map_location="cpu", weights_only=True)
        return State(**values)
    except Exception as error:
        # a damaged file fails in whatever part of it is read first
        raise DataError(
            f"checkpoint {folder} cannot be read ({one_line(error, 160)}): delete it to go on before it"
        ) from error


def copy_files(source: Path, target: Path) -> None:
    """Copy the tokenizer's, the processor's and the generation settings' files: those a model does not write itself.

    A `generation_config.json` that the source does not have is not made up.
    """
    (target / "generation_config.json").unlink(missing_ok=True)
    for file in sorted(source.iterdir()):
        if file.suffix in _TEXTS and file.name not in _OWN and not file.name.endswith(".index.json"):
            shutil.copyfile(file, target / file.name)


def _restore_model(folder: Path, policy: Policy) -> None:
    if (folder / _ADAPTER).is_file():
        raise DataError(f"checkpoint {folder} has LoRA matrices alone, and this training has none (--lora)")
    model = policy.model
    try:
        config = type(model.config).from_pretrained(folder)
        kinds = [list(c.architectures or [type(model).__name__]) for c in (config, model.config)]
        if config.model_type != model.config.model_type or kinds[0] != kinds[1]:
            raise DataError(
                f"checkpoint {folder} is of another architecture: {config.model_type} ({', '.join(kinds[0])}), "
                f"not {model.config.model_type} ({', '.join(kinds[1])})"
            )
        with quiet_loading():
            loaded = type(model).from_pretrained(folder, dtype=model.dtype).state_dict()
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"checkpoint {folder} cannot be loaded: {one_line(error, 200)}") from error
    own = model.state_dict()
    for name in sorted({*own, *loaded}):
        mine, theirs = (tuple(d[name].shape) if name in d else "nothing" for d in (own, loaded))
        if mine != theirs:
            raise DataError(f"checkpoint {folder} is of another architecture: {name} is {theirs} there and {mine} here")
    model.load_state_dict(loaded)


def _restore_adapter(folder: Path, policy: Policy) -> None:
    import peft
    from safetensors.torch import load_file

    if not (folder / _ADAPTER).is_file():
        raise DataError(f"checkpoint {folder} has all weights, and this training learns LoRA matrices alone")
    try:
        loaded = load_file(folder / "adapter_model.safetensors")
    except Exception as error:
        raise DataError(f"checkpoint {folder} cannot be loaded: {one_line(error, 200)}") from error
    own = peft.get_peft_model_state_dict(policy.adapter)
    for name in sorted({*own, *loaded}):
        mine, theirs = (tuple(d[name].shape) if name in d else "nothing" for d in (own, loaded))
        if mine != theirs:
            raise DataError(f"checkpoint {folder} is of another architecture: {name} is {theirs} there and {mine} here")
    peft.set_peft_model_state_dict(policy.adapter, loaded)


_FULL_DISK = (OSError, RuntimeError, SafetensorError)
"""What a disk that is full or gone shows itself as, in the libraries that write tensors."""


class _whole:
    """A folder that appears with all its files, or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._part = folder.with_name(f".{folder.name}.part")

    def __enter__(self) -> Path:
        shutil.rmtree(self._part, ignore_errors=True)
        try:
            self._part.mkdir(parents=True)
        except OSError as error:
            raise InfrastructureError(f"cannot make {self._part}: {error.strerror}") from error
        return self._part

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None:
            try:
                if self._folder.exists():
                    shutil.rmtree(self._folder)
                self._part.replace(self._folder)
            except OSError as failed:
                error = failed
        if error is not None:
            shutil.rmtree(self._part, ignore_errors=True)
        if isinstance(error, _FULL_DISK):
            why = getattr(error, "strerror", None) or one_line(error, 160)
            raise InfrastructureError(
                f"cannot write {self._folder}: {why}; free space, and run the same command to go on"
            ) from error
