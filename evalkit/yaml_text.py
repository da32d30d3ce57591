"""YAML as plain values, and whatever is wrong with it as one kind of error."""

from __future__ import annotations

from typing import Any

from evalkit.errors import one_line

LONGEST = 1 << 23
"""Bytes; cards, settings and labels are far shorter."""
MOST_VALUES = 1_000_000
"""In a text with aliases, each of them written out."""


def parse_yaml(data: bytes) -> Any:
    """The values of a YAML text: mappings, lists, texts, numbers, times; no tag makes anything else.

    Raises:
        ValueError: it is no such text; the message is one line.
    """
    import yaml

    if len(data) > LONGEST:
        raise ValueError(f"it is larger than {LONGEST >> 20} MB")
    try:
        # libyaml's reader where it is there: many times as fast, and bounded where brackets nest
        values = yaml.load(data.decode("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # numbers and dates that Python does not have are ValueErrors
        raise ValueError(one_line(error)) from None
    if b"*" in data:
        _check_size(values)
    return values


def _check_size(values: Any) -> None:
    """Ten lines of names that stand for names can stand for gigabytes, or for themselves."""
    left, waiting = MOST_VALUES, [values]
    while waiting:
        value = waiting.pop()
        left -= 1
        if left < 0:
            raise ValueError("what its aliases stand for is too much")
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
