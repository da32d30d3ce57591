"""The example notebook runs as it is, in a real kernel, whose event loop is running."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

NOTEBOOK = ROOT / "docs" / "example" / "api.ipynb"
pytest.importorskip("ipykernel", reason="the extra evalkit[jupyter] is not installed")
pytest.importorskip("torch", reason="metis-nano needs the extra evalkit[hf]")


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text())["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


@pytest.mark.filterwarnings("ignore")
def test_every_cell_of_the_notebook_runs(tmp_path: Path) -> None:
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(cwd=str(tmp_path))
    said: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "stream" and content["name"] == "stdout":
            said.append(content["text"])

    try:
        for cell in cells():
            source = "".join(cell["source"])
            reply = client.execute_interactive(source, timeout=240, output_hook=hear)["content"]
            assert reply["status"] == "ok", "\n".join(reply.get("traceback", []))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    heard = "".join(said)
    assert re.search(r"\d+ of 48 right, a tool was called in \d+", heard)
    assert re.search(r"a tool was called on \d+ of 48 samples", heard)


def shown() -> str:
    """What the notebook has printed when it was saved."""
    outputs = [output for cell in cells() for output in cell["outputs"] if output.get("name") == "stdout"]
    return "".join("".join(output["text"]) for output in outputs)


def test_the_saved_notebook_has_run_and_names_no_place_of_the_machine_that_ran_it() -> None:
    assert "a tool was called on" in shown()
    assert all(cell["execution_count"] for cell in cells())
    text = NOTEBOOK.read_text()
    assert not re.search(r"/(?:home|root|tmp|work|Users)/", text)
    assert "error" not in {output["output_type"] for cell in cells() for output in cell["outputs"]}
