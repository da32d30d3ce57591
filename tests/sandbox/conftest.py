"""A started sandbox of each kind, and a short way to run cells in one session of it."""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from evalkit.errors import EvalkitError
from evalkit.images import ImageFile
from evalkit.sandbox import ExecResult, JupyterSandbox, Limits, LocalSandbox, ProcessSandbox, SessionSpec, Tier
from tests.sandbox.sandboxing import NAMES, AnySandbox, Cells, children, descriptors, until

Shared = Callable[[str], Awaitable[LocalSandbox]]
Kernels = Callable[[], Awaitable[JupyterSandbox]]

KINDS = ("process", "T1", "T2")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "kinds(*names): the kinds of sandbox that a test is about")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "sandbox" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("kinds")
        metafunc.parametrize("sandbox", marker.args if marker else KINDS, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # One event loop, so that the tests of a worker share the servers, which take a second to start.
    for item in items:
        if "sandbox" in item.path.parts and isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    """A started local sandbox of a tier, or a skipped test where the machine does not offer it."""
    tmp_path_factory.getbasetemp()  # made now, so that it does not come to lie in the folder below
    started: dict[str, LocalSandbox] = {}
    missing: dict[str, str] = {}
    planted, os.environ["HF_TOKEN"] = os.environ.get("HF_TOKEN"), "planted-secret"

    async def get(tier: str) -> LocalSandbox:
        if tier not in started and tier not in missing:
            sandbox = LocalSandbox(tier=Tier(tier), allow_unisolated=True)
            try:
                await sandbox.start()
                started[tier] = sandbox
            except EvalkitError as error:
                missing[tier] = str(error)
        if tier in missing:
            pytest.skip(missing[tier])
        return started[tier]

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        tempfile.tempdir, before = folder, tempfile.tempdir
        os.chmod(folder, 0o711)
        try:
            yield get
            for sandbox in started.values():
                await sandbox.close()
            assert os.listdir(folder) == []
        finally:
            tempfile.tempdir = before
    if planted is None:
        del os.environ["HF_TOKEN"]
    else:
        os.environ["HF_TOKEN"] = planted


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def jupyter() -> AsyncIterator[Kernels]:
    """A started jupyter sandbox, or a skipped test without the extra."""
    started: list[JupyterSandbox] = []

    async def get() -> JupyterSandbox:
        if not started:
            pytest.importorskip("jupyter_client", reason="pip install 'evalkit[jupyter]'")
            pytest.importorskip("ipykernel", reason="pip install 'evalkit[jupyter]'")
            sandbox = JupyterSandbox()
            await sandbox.start()
            started.append(sandbox)
        return started[0]

    yield get
    for sandbox in started:
        await sandbox.close()


@pytest_asyncio.fixture(loop_scope="session")
async def sandbox(
    request: pytest.FixtureRequest, shared: Shared, jupyter: Kernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AnySandbox]:
    """Nothing may be left of a test's sessions."""
    if request.param == "process":
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        before = children(), descriptors()
        async with ProcessSandbox() as process:
            yield process
        assert os.listdir(tmp_path) == []
    else:
        local = await (jupyter() if request.param == "jupyter" else shared(request.param))
        before = children(), descriptors()
        yield local
        for session in list(local._sessions):
            await session.close()
        # Processes of cancelled calls are waited for in the background.
        await until(lambda: not descriptors() - before[1])
    assert children() - before[0] == set()
    assert descriptors() - before[1] == set()


@pytest.fixture
def cells(sandbox: AnySandbox) -> Cells:
    async def run(*codes: str, images: tuple[ImageFile, ...] = (), **limits: float) -> list[ExecResult]:
        session = await sandbox.open(SessionSpec(images=images, imports=NAMES, limits=Limits(**limits)))
        try:
            return [await session.run(code) for code in codes]
        finally:
            await session.close()

    return run
