"""Tools: what a model may call. `Tool` is the seam; a `Toolbox` holds the tools of one trajectory."""

from evalkit.tools.base import Tool, ToolResult, ToolSession, ToolSpec
from evalkit.tools.python import PythonSession, PythonTool
from evalkit.tools.toolbox import Toolbox

__all__ = [
    "PythonSession",
    "PythonTool",
    "Tool",
    "ToolResult",
    "ToolSession",
    "ToolSpec",
    "Toolbox",
]
