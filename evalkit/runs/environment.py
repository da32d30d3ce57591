"""The machine and the versions a run was made with: recorded, never part of its configuration."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from evalkit.secrets import command_without_secrets

_PACKAGES = ("torch", "transformers", "vllm", "datasets", "pillow", "numpy", "aiohttp")


def environment() -> dict[str, Any]:
    """JSON values: platform, processors, memory, package versions, state of the working directory's git."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": _cpu_name(),
        "cpus": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "git": _git(),
        "command": ["evalkit", *command_without_secrets([_storable(argument) for argument in sys.argv[1:]])],
    }


def _storable(argument: str) -> str:
    """An argument in characters that can be stored."""
    return argument.encode("utf-8", "replace").decode("utf-8")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError):
        return None


def _git() -> dict[str, Any]:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "HEAD")
        changed = bool(git("status", "--porcelain", "--untracked-files=no")) if commit else False
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit, "changed": changed} if commit else {}
