"""Where tasks get their rows: a folder in the benchmark's official layout, the hub, or one of VLMEvalKit's tables.

Whatever is missing is a `DataError` of one line that names the task, the file, and the column and the
row where they matter.
"""

from evalkit.sources.folder import file_inside, read_json, read_rows
from evalkit.sources.hub import HubTable, load_hub, load_parquet
from evalkit.sources.rows import Columns, Row, check_rows, place
from evalkit.sources.tsv import TsvTable, load_tsv

__all__ = [
    "Columns",
    "HubTable",
    "Row",
    "TsvTable",
    "check_rows",
    "file_inside",
    "load_hub",
    "load_parquet",
    "load_tsv",
    "place",
    "read_json",
    "read_rows",
]
