"""evalkit: is a vision-language agent right, and did it need its tools?

`run`, `load_run`, `compare` and `Hook` are loaded when they are first asked for: `import evalkit` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from evalkit.errors import EvalkitError, ExitCode
from evalkit.images import ImageFile, ImageHeader
from evalkit.records import (
    RECORD_VERSION,
    CallStatus,
    Observation,
    Outcome,
    Record,
    Rule,
    Sample,
    StopReason,
    Timing,
    ToolCall,
    Trajectory,
    Turn,
    Usage,
    Verdict,
)
from evalkit.task import DataSource, HubDataset, Metric, Task
from evalkit.version import __version__

if TYPE_CHECKING:
    from evalkit.api import Run, compare, load_run, run
    from evalkit.hooks import Hook

_LATE = {
    "Hook": "evalkit.hooks",
    "Run": "evalkit.api",
    "compare": "evalkit.api",
    "load_run": "evalkit.api",
    "run": "evalkit.api",
}

__all__ = [
    "RECORD_VERSION",
    "CallStatus",
    "DataSource",
    "EvalkitError",
    "ExitCode",
    "Hook",
    "HubDataset",
    "ImageFile",
    "ImageHeader",
    "Metric",
    "Observation",
    "Outcome",
    "Record",
    "Rule",
    "Run",
    "Sample",
    "StopReason",
    "Task",
    "Timing",
    "ToolCall",
    "Trajectory",
    "Turn",
    "Usage",
    "Verdict",
    "__version__",
    "compare",
    "load_run",
    "run",
]


def __getattr__(name: str) -> Any:
    """Loads the library's larger part when it is first asked for."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
