"""The tiny model, built once a session."""

from pathlib import Path

import pytest

from tests.tiny_qwen import build


@pytest.fixture(scope="session")
def tiny_qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a Qwen3-VL of 0.4 M random weights."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    return build(tmp_path_factory.mktemp("tiny-qwen"))
