"""evalkit as a library takes addresses wherever it takes run folders."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

import evalkit
from evalkit.runs.remote import lock as locks


def test_a_run_is_made_opened_and_compared_in_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    monkeypatch.setattr(locks, "SETTLE_S", 0.0)
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"default": ["<reason>r</reason><answer>A</answer>"]}))
    place = uuid4().hex

    [made] = evalkit.run(
        model="scripted", tasks="panel_probe", script=script, task_option=["boards=1"], out=f"memory://{place}/runs"
    )

    assert made.code == 0
    store = fsspec.filesystem("memory")
    [address] = [f"memory:/{one['name']}" for one in store.ls(f"/{place}/runs", detail=True)]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    opened = evalkit.load_run(address)
    assert opened.folder != made.folder
    assert opened.summary == made.summary
    assert [image.read() for sample in opened.samples for image in sample.images]
    assert evalkit.compare(address, made).against[0].flips == ()
    store.rm(f"/{place}", recursive=True)
