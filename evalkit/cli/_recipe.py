"""`evalkit train --recipe NAME`: a study that is written down as a whole, from its starts to its report."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from evalkit.cli._console import Console
from evalkit.errors import EvalkitError, unknown
from evalkit.training import recipes


def run_recipe(name: str, out: Path, given: Mapping[str, str]) -> None:
    """Run a recipe to its report.

    Args:
        name: of a package in `evalkit.training.recipes`.
        out: folder of the study; what is in it already is not done again.
        given: the recipe's own options, as texts.

    Raises:
        EvalkitError: there is no such recipe, or no such option in it, or a value does not fit.
    """
    known = [found.name for found in pkgutil.iter_modules(recipes.__path__)]
    if name not in known:
        raise unknown("recipe", name, known, "evalkit train --help")
    recipe: Callable[..., Path] = import_module(f"{recipes.__name__}.{name}").run_recipe
    out_console = Console()
    err = Console(stderr=True)
    report = recipe(out, **_typed(name, recipe, given), say=lambda line: err.print(line, markup=False, soft_wrap=True))
    out_console.print(f"report: {report}", markup=False, soft_wrap=True)


def _typed(name: str, recipe: Callable[..., Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Options by the types of their defaults; those of several values are separated by commas."""
    defaults = {
        key: found.default
        for key, found in inspect.signature(recipe).parameters.items()
        if isinstance(found.default, int | float | str | tuple)
    }
    values: dict[str, Any] = {}
    for key, text in given.items():
        if key not in defaults:
            raise unknown(f"option of recipe {name}", key, defaults, "evalkit train --help")
        kind = type(defaults[key])
        try:
            values[key] = tuple(text.split(",")) if kind is tuple else kind(text)
        except ValueError:
            raise EvalkitError(f"option {key} of recipe {name} takes {kind.__name__}, not {text!r}") from None
    return values
