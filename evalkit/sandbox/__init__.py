"""Sandboxes: where a model's Python code runs. `Sandbox` is the seam; `FakeSandbox` stands in for it in tests."""

from evalkit.sandbox.base import (
    Capabilities,
    ExecResult,
    ExecStatus,
    Limits,
    Sandbox,
    Session,
    SessionSpec,
    Tier,
)
from evalkit.sandbox.docker import DockerSandbox
from evalkit.sandbox.fake import FakeSandbox, FakeSession
from evalkit.sandbox.jupyter import JupyterSandbox
from evalkit.sandbox.local import LocalSandbox
from evalkit.sandbox.process import ProcessSandbox

__all__ = [
    "Capabilities",
    "DockerSandbox",
    "ExecResult",
    "ExecStatus",
    "FakeSandbox",
    "FakeSession",
    "JupyterSandbox",
    "Limits",
    "LocalSandbox",
    "ProcessSandbox",
    "Sandbox",
    "Session",
    "SessionSpec",
    "Tier",
]
