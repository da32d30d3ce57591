"""A model for lmms-eval that gives responses from a file. It runs in lmms-eval's own Python, and needs nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NAME = "replayer"
_DIST = "lmms_replayer-0.0.dist-info"


def plug_in(folder: Path) -> Path:
    """A folder that makes the model known to an lmms-eval that has it on its path."""
    info = folder / _DIST
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lmms-replayer\nVersion: 0.0\n")
    (info / "entry_points.txt").write_text(f"[lmms_eval.models]\n{NAME} = lmms_replayer:manifest\n")
    (folder / "lmms_replayer.py").write_text(Path(__file__).read_text("utf-8"), "utf-8")
    return folder


def manifest() -> Any:
    """What the entry point gives."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id=NAME, chat_class_path="lmms_replayer.Replayer")


def __getattr__(name: str) -> Any:
    if name != "Replayer":
        raise AttributeError(name)
    from lmms_eval.api.model import lmms

    class Replayer(lmms):  # type: ignore[misc]
        """Answers from a JSON file: task to a list of texts, by document number."""

        is_simple = False

        def __init__(self, file: str, **kwargs: Any) -> None:
            super().__init__()
            self.texts = json.loads(Path(file).read_text("utf-8"))

        def generate_until(self, requests: list[Any]) -> list[str]:
            return [self.texts[request.args[4]][request.args[3]] for request in requests]

        def loglikelihood(self, requests: list[Any]) -> Any:
            raise NotImplementedError

        def generate_until_multi_round(self, requests: list[Any]) -> Any:
            raise NotImplementedError

    return Replayer
