"""Where tasks get their rows: a folder in the benchmark's official layout, or the hub.

Whatever is missing is a `DataError` of one line that names the task, the file, and the column and the
row where they matter.
"""

from evalkit.sources.folder import file_inside, read_json, read_rows
from evalkit.sources.hub import HubTable, load_hub
from evalkit.sources.rows import Columns, Row, check_rows, place

__all__ = [
    "Columns",
    "HubTable",
    "Row",
    "check_rows",
    "file_inside",
    "load_hub",
    "place",
    "read_json",
    "read_rows",
]
