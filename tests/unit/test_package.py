"""The package as a whole: light to import, every public name documented and listed."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys

import pytest

import evalkit

HEAVY = {"torch", "vllm", "transformers", "datasets", "matplotlib", "aiohttp", "pandas", "numpy", "PIL", "rich", "yaml"}

BRIDGED = {"inspect_ai", "lmms_eval", "ray", "trl", "verl"}
"""Libraries of other people into which evalkit plugs; all else must import without extras."""

PROBE = """
import json, sys, time
opened = []
sys.addaudithook(lambda event, args: opened.append(f"{event} {args[0]}")
                 if event.startswith("socket") or event == "open" and isinstance(args[1], str) and args[1] != "r"
                 and not str(args[0]).endswith(".pyc") and "__pycache__" not in str(args[0]) else None)
import evalkit
print(json.dumps([sorted({name.split(".")[0] for name in sys.modules}), opened]))
"""


def test_importing_evalkit_loads_nothing_heavy_and_opens_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    modules, opened = json.loads(done.stdout)
    assert HEAVY.isdisjoint(modules)
    assert opened == []


def test_help_loads_nothing_heavy() -> None:
    probe = "import sys; from evalkit.cli import main; main(['run', '--help']); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert {"torch", "vllm", "transformers", "datasets", "aiohttp", "pandas", "numpy"}.isdisjoint(loaded)


def packages() -> list[str]:
    found = pkgutil.walk_packages(evalkit.__path__, "evalkit.")
    return sorted(m.name for m in found if "guest" not in m.name and not m.name.endswith("__main__"))


@pytest.mark.parametrize("name", packages())
def test_every_module_says_what_it_is_and_lists_what_exists(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in BRIDGED:
            raise
        pytest.skip(f"{error.name} is not installed")
    assert module.__doc__
    for public in getattr(module, "__all__", []):
        assert hasattr(module, public), f"{name}.__all__ names {public}"


def test_public_names_are_sorted_and_documented() -> None:
    assert sorted(evalkit.__all__) == sorted(set(evalkit.__all__))
    for name in evalkit.__all__:
        assert getattr(evalkit, name).__doc__
