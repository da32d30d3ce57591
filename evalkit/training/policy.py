"""The model under training: which of its weights learn, and in which arithmetic it computes."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from evalkit.engines.transformers.engine import quiet_loading
from evalkit.errors import EvalkitError, one_line
from evalkit.models import ModelCard
from evalkit.training.config import TrainSettings

_QUIET = ("attention_dropout", "attention_probs_dropout_prob")


class Policy:
    """A model on its way.

    Dropout is off all along: what learns must be what drew the rollouts.

    Attributes:
        model: the Hugging Face model that generates and learns; LoRA's matrices are inside it.
        adapter: the same under peft's hand; None where all weights learn.
    """

    def __init__(self, model: Any, settings: TrainSettings) -> None:
        """Set the model up; `close` undoes what can be undone.

        Raises:
            EvalkitError: peft is missing, or the weights that are to learn are not float32.
        """
        self.model = model
        self.adapter: Any = None
        self._bf16 = settings.bf16
        self._forward: Any = None
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            for name in _QUIET:
                if isinstance(getattr(module, name, None), float):
                    setattr(module, name, 0.0)
        if settings.lora:
            self.adapter = _adapted(model, settings)
        else:
            model.requires_grad_(True)
        if wrong := {str(p.dtype) for p in self.trained if p.dtype != torch.float32}:
            raise EvalkitError(
                f"weights that learn must be float32, and these are {', '.join(sorted(wrong))}: "
                "load the model in float32 (bf16 then computes in bfloat16), or train LoRA matrices"
            )
        if settings.gradient_checkpointing:
            _checkpointing(model, on=True)
        self._checkpointing = settings.gradient_checkpointing
        if self._bf16:
            # rollouts are drawn in another thread, where an `autocast` of this one does not hold
            self._forward = model.forward
            model.forward = torch.autocast(self.device.type, torch.bfloat16)(model.forward)
        model.eval()

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return torch.device(self.model.device)

    @property
    def trained(self) -> list[torch.nn.Parameter]:
        """The weights that learn."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    @contextlib.contextmanager
    def learning(self) -> Iterator[None]:
        """For forward passes with a gradient."""
        # transformers keeps activations unless a model is in this mode
        self.model.train(self._checkpointing)
        try:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
                yield
        finally:
            self.model.eval()

    def close(self) -> None:
        """Give the model its own forward pass back; LoRA's matrices stay in it."""
        if self._forward is not None:
            del self.model.forward
        if self._checkpointing:
            _checkpointing(self.model, on=False)


class Reference:
    """The model as it was at the start, for the divergence from it.

    Args:
        policy: before its first step.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._frozen: Any = None
        # an adapter that is switched off leaves the model as it was
        if policy.adapter is None:
            self._frozen = copy.deepcopy(policy.model).requires_grad_(False)
            # the policy's own, wrapped: it would go through the policy's weights
            self._frozen.__dict__.pop("forward", None)

    @contextlib.contextmanager
    def model(self) -> Iterator[Any]:
        """The model, without gradients."""
        with torch.no_grad(), torch.autocast(self._policy.device.type, torch.bfloat16, enabled=self._policy._bf16):
            if self._frozen is not None:
                yield self._frozen
                return
            with self._policy.adapter.disable_adapter():
                yield self._policy.model


def load_model(card: ModelCard, settings: TrainSettings, device: torch.device) -> Any:
    """A card's model, ready to be trained.

    Raises:
        EvalkitError: the library is missing, or the weights are no vision-language model or cannot be loaded.
    """
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise EvalkitError("training needs torch and transformers: pip install 'evalkit[hf]'") from error
    where = card.weights.location
    if not where:
        raise EvalkitError(f"{card.name} names no weights: there is nothing to train")
    frozen_bf16 = settings.lora and settings.bf16
    try:
        with quiet_loading():
            model = transformers.AutoModelForImageTextToText.from_pretrained(
                where,
                revision=card.weights.revision,
                dtype=torch.bfloat16 if frozen_bf16 else torch.float32,
                attn_implementation=card.transformers.attention,
                # code that comes with weights is not run
                trust_remote_code=False,
            )
    except Exception as error:
        # whatever goes wrong here lies in the weights, the machine or the library versions
        raise EvalkitError(f"cannot load {where}: {type(error).__name__}: {one_line(error)}") from error
    return model.to(device)


def folder_of(card: ModelCard) -> Path:
    """The folder in which a card's files lie, downloaded or local.

    Raises:
        EvalkitError: they are not on this machine.
    """
    if card.weights.folder:
        return Path(card.weights.folder)
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(card.weights.hub, revision=card.weights.revision, local_files_only=True)
    except Exception as error:
        raise EvalkitError(
            f"{card.weights.hub} is not on this machine ({one_line(error, 120)}): hf download {card.weights.hub}"
        ) from error
    return Path(found)


def _checkpointing(model: Any, *, on: bool) -> None:
    """Have activations computed anew for the gradient, or not; the library has a new name for it."""
    word = "enable" if on else "disable"
    names = (f"activation_checkpointing_{word}", f"gradient_checkpointing_{word}")
    switch = next(found for name in names if (found := getattr(model, name, None)))
    switch(*([{"use_reentrant": False}] if on else []))


def _adapted(model: Any, settings: TrainSettings) -> Any:
    try:
        import peft
    except ModuleNotFoundError as error:
        raise EvalkitError("--lora needs peft: pip install 'evalkit[train]'") from error
    inside = {id(module) for module in model.get_decoder().modules()}
    linear = [
        name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and id(module) in inside
    ]
    if not linear:
        raise EvalkitError("--lora: the language model has no linear layers that LoRA could go on")
    torch.manual_seed(settings.seed)
    config = peft.LoraConfig(r=settings.lora, lora_alpha=2 * settings.lora, target_modules=linear, lora_dropout=0.0)
    with warnings.catch_warnings():
        # the library reads an attribute that transformers has renamed
        warnings.simplefilter("ignore", FutureWarning)
        return peft.get_peft_model(model, config)
