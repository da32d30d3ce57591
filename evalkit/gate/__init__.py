"""The gate: whether a change made an agent worse, as an exit code that can be trusted.

Names are loaded when first used, so that the command line's help loads neither numpy nor scipy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalkit.gate.archive import save_baseline
    from evalkit.gate.config import read_gate_config
    from evalkit.gate.gate import run_gate
    from evalkit.gate.opening import open_baseline
    from evalkit.gate.result import CheckResult, GateResult, Status
    from evalkit.gate.rules import GateRule, default_rules, parse_rule

_HOME = {
    "CheckResult": "result",
    "GateResult": "result",
    "GateRule": "rules",
    "Status": "result",
    "default_rules": "rules",
    "open_baseline": "opening",
    "parse_rule": "rules",
    "read_gate_config": "config",
    "run_gate": "gate",
    "save_baseline": "archive",
}

__all__ = [
    "CheckResult",
    "GateResult",
    "GateRule",
    "Status",
    "default_rules",
    "open_baseline",
    "parse_rule",
    "read_gate_config",
    "run_gate",
    "save_baseline",
]


def __getattr__(name: str) -> Any:
    """Loads the module that holds a public name."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
