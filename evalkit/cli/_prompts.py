"""System prompts that the user gives: as files, or as a column of the data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from evalkit.agents.protocols import Protocol
from evalkit.cli._arms import direct_prompt
from evalkit.errors import EvalkitError
from evalkit.records import Sample
from evalkit.runs.arms import Arms


def read_prompts(
    system: Path | None, direct: Path | None, arms: Arms, protocol: Protocol, samples: Iterable[Sample]
) -> tuple[str | None, str | None]:
    """The system prompt in place of the protocol's own, and that of the direct arm; None where there is none.

    Args:
        system: file of `--system-prompt`.
        direct: file of `--direct-system-prompt`.
        arms: what is asked.
        protocol: whose prompts they replace.
        samples: of all tasks; they may bring prompts of their own.

    Raises:
        EvalkitError: a file cannot be read, or prompts contradict each other or speak of tools that are taken away.
    """
    prompt, without = _read("--system-prompt", system), _read("--direct-system-prompt", direct)
    own = any(sample.system for sample in samples)
    if own and prompt is not None:
        raise EvalkitError("--prompt-from-dataset gives a system prompt, and so does --system-prompt: leave one out")
    return prompt, direct_prompt(arms, prompt, without, protocol.native_tools, own=own)


def _read(option: str, file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise EvalkitError(f"{option} {file}: {error}") from error
