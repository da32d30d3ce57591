"""Inspect AI itself: whether it is there, and new enough."""

from __future__ import annotations

import importlib.metadata
import re

from evalkit.errors import EvalkitError, one_line

PACKAGE = "inspect_ai"
OLDEST = (0, 3, 200)
"""The oldest release whose logs and log functions are as this package uses them."""
EXTRA = "pip install 'evalkit[inspect]'"
KEY = "evalkit"
"""Under which a log holds what Inspect has no place for: a record's own line in a sample's store, and what is known
of the run in the log's metadata."""


def model_name(name: str) -> str:
    """A model's name as a log has it. Inspect wants a provider before it; evalkit's own is one that nobody can ask."""
    return f"{KEY}/{name}"


def require() -> str:
    """See that Inspect is there.

    Returns:
        Its version.

    Raises:
        EvalkitError: it is not installed, too old, or broken.
    """
    try:
        version = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise EvalkitError(f"Inspect's logs need the package {PACKAGE}, which is not installed: {EXTRA}") from None
    oldest = ".".join(map(str, OLDEST))
    if _numbers(version) < OLDEST:
        raise EvalkitError(
            f"{PACKAGE} {one_line(version, 40)} is too old for evalkit: it needs {oldest} or newer: "
            f"pip install --upgrade {PACKAGE}"
        )
    try:
        import inspect_ai.event
        import inspect_ai.log  # noqa: F401
    except Exception as error:
        # a broken install fails in whatever way its dependencies do
        what = one_line(f"{type(error).__name__}: {error}", 200)
        raise EvalkitError(f"{PACKAGE} {version} cannot be loaded ({what}): {EXTRA}") from error
    return version


def changed(version: str, error: Exception) -> EvalkitError:
    """The error for a release in which something that evalkit uses is no longer as it was."""
    what = one_line(f"{type(error).__name__}: {error}", 200)
    return EvalkitError(
        f"{PACKAGE} {one_line(version, 40)} is not as evalkit knows it ({what}): "
        "install an older one, or a newer evalkit"
    )


def _numbers(version: str) -> tuple[int, ...]:
    """The release numbers of a version; what follows them (rc1, .dev3) is left out."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
