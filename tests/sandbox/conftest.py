"""A started sandbox, and a short way to run cells in one session of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sandboxing import NAMES, Cells, children, descriptors

from evalkit.images import ImageFile
from evalkit.sandbox import ExecResult, Limits, ProcessSandbox, SessionSpec


@pytest.fixture
async def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProcessSandbox]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = descriptors()
    async with ProcessSandbox() as started:
        yield started
    assert os.listdir(tmp_path) == []
    assert children() == set()
    assert descriptors() - before == set()


@pytest.fixture
def cells(sandbox: ProcessSandbox) -> Cells:
    async def run(*codes: str, images: tuple[ImageFile, ...] = (), **limits: float) -> list[ExecResult]:
        session = await sandbox.open(SessionSpec(images=images, imports=NAMES, limits=Limits(**limits)))
        try:
            return [await session.run(code) for code in codes]
        finally:
            await session.close()

    return run
