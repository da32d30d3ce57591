"""What lmms-eval's entry point group `lmms_eval.models` finds: evalkit's agent as a model of lmms-eval's."""

from __future__ import annotations

from typing import Any

NAME = "evalkit"


def manifest() -> Any:
    """The model's manifest; lmms-eval calls it when it starts, so nothing else is loaded yet."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id=NAME, chat_class_path="evalkit.lmms_model.EvalkitModel")
