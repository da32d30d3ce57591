"""What can go wrong, as one line a user can act on, and the exit code that goes with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every `evalkit` command."""

    OK = 0
    REGRESSION = 1
    USAGE = 2
    INFRASTRUCTURE = 3
    INCONCLUSIVE = 4
    NOTHING_EVALUATED = 5
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


_SEVERITY = (
    ExitCode.OK,
    ExitCode.INCONCLUSIVE,
    ExitCode.NOTHING_EVALUATED,
    ExitCode.REGRESSION,
    ExitCode.INFRASTRUCTURE,
    ExitCode.USAGE,
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """The code that speaks for several parts of one command."""
    return max(codes, key=_SEVERITY.index, default=ExitCode.OK)


class EvalkitError(Exception):
    """An error a user can cause or mend: one line saying what, where, and how to mend it."""

    exit_code = ExitCode.USAGE


class DataError(EvalkitError):
    """A data set, a sample or a run folder does not hold what it should."""


class InfrastructureError(EvalkitError):
    """Something outside the question failed: an engine, a sandbox, a disk."""

    exit_code = ExitCode.INFRASTRUCTURE


class EngineError(InfrastructureError):
    """One generation failed for good; the trajectory ends with `engine_error`."""


class EngineUnavailableError(EngineError):
    """The engine as a whole cannot answer; going on with other samples makes no sense."""


class ContextLengthError(EngineError):
    """The conversation no longer fits the model's context; the trajectory ends with `limit_tokens`."""


class SandboxError(InfrastructureError):
    """The sandbox itself failed, as opposed to the code that ran in it."""


class NothingEvaluatedError(EvalkitError):
    """A run had nothing to evaluate."""

    exit_code = ExitCode.NOTHING_EVALUATED


def one_line(text: object, limit: int = 300) -> str:
    """`text` on one line without control characters, cut to `limit` characters."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def unknown(kind: str, name: str, known: Iterable[str], how: str) -> EvalkitError:
    """The error for a name that does not exist, with the nearest names that do.

    Args:
        kind: what was looked for, e.g. "task".
        name: what the user wrote.
        known: the names that exist.
        how: the command that lists them.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"nearest: {', '.join(near)}" if near else f"known: {', '.join(names[:12]) or 'none'}"
    return EvalkitError(f"unknown {kind} {one_line(name, 80)!r}; {hint} ({how} lists all)")
