"""Tools: what a model may call. `Tool` is the seam; a `Toolbox` holds the tools of one trajectory."""

from evalkit.tools.base import Cut, Tool, ToolResult, ToolSession, ToolSpec
from evalkit.tools.image_search import IMAGE_SEARCH, PUBLIC_ADDRESS, ImageSearchSession, ImageSearchTool
from evalkit.tools.python import PythonSession, PythonTool
from evalkit.tools.search_sizes import SearchSizes
from evalkit.tools.text_search import TEXT_SEARCH, TextSearchSession, TextSearchTool
from evalkit.tools.toolbox import Toolbox
from evalkit.tools.zoom import ZoomSpec, ZoomTool

__all__ = [
    "IMAGE_SEARCH",
    "PUBLIC_ADDRESS",
    "TEXT_SEARCH",
    "Cut",
    "ImageSearchSession",
    "ImageSearchTool",
    "PythonSession",
    "PythonTool",
    "SearchSizes",
    "TextSearchSession",
    "TextSearchTool",
    "Tool",
    "ToolResult",
    "ToolSession",
    "ToolSpec",
    "Toolbox",
    "ZoomSpec",
    "ZoomTool",
]
