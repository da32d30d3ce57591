"""Values that authors' code reads with Python's `eval`: here a literal is read, and nothing is ever run."""

from __future__ import annotations

import ast
import json
import warnings

_MOST = 10_000


def literal_as_json(text: str) -> str | None:
    """A Python literal (numbers, text, lists, tuples, dicts) as JSON; None for all else."""
    if len(text) > _MOST:
        return None
    try:
        with warnings.catch_warnings():
            # a backslash that escapes nothing
            warnings.simplefilter("ignore")
            value = ast.literal_eval(text)
        return json.dumps(value, allow_nan=False)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
