"""Search tools of `evalkit run` and `evalkit doctor`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from evalkit.agents.protocols import PROTOCOLS
from evalkit.cli._console import Console
from evalkit.errors import EvalkitError
from evalkit.models import ModelCard
from evalkit.records import Sample
from evalkit.runs.searches import Searches, searches_for


def search_problems(card: ModelCard, search: str, image_search: str) -> Iterable[str]:
    """Why they cannot be had, if so; nothing for a protocol that is not known."""
    if card.protocol not in PROTOCOLS:
        return
    for named in ((search, ""), ("", image_search)):
        try:
            searches_for(card, *named)
        except EvalkitError as error:
            yield str(error)


@contextlib.asynccontextmanager
async def trying(searches: Searches, tasks: Sequence[Sequence[Sample]], err: Console) -> AsyncIterator[None]:
    """Start the providers and say what is searched; they are closed at the end.

    Raises:
        EvalkitError: one does not work, or can find nothing for any sample of a task.
    """
    try:
        await searches.start()
        for tool, facts in searches.facts.items():
            err.print(f"{tool}: {told(facts)}", markup=False)
        for note in dict.fromkeys(note for samples in tasks for note in searches.notes(samples)):
            err.print(f"note: {note}", markup=False)
        yield
    finally:
        await searches.close()


def told(facts: dict[str, Any]) -> str:
    """A started provider on one line."""
    more = [f"{facts['documents']:,} documents"] if "documents" in facts else []
    more += [f"fingerprint {facts['fingerprint']}"] if "fingerprint" in facts else []
    return ", ".join([facts["kind"], *more, f"at most {facts['results']} results"])
