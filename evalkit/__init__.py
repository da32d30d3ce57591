"""evalkit: is a vision-language agent right, and did it need its tools?"""

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

__version__ = "0.1.0"

__all__ = [
    "RECORD_VERSION",
    "CallStatus",
    "DataSource",
    "EvalkitError",
    "ExitCode",
    "HubDataset",
    "ImageFile",
    "ImageHeader",
    "Metric",
    "Observation",
    "Outcome",
    "Record",
    "Rule",
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
]
