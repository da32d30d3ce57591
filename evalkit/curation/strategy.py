"""Tool use as a judge sees it: trajectories whose calls were to the point stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evalkit.curation.grading import SEEN, Conversation
from evalkit.curation.marks import ruled, sift
from evalkit.curation.rubric import Rubric
from evalkit.curation.source import Entry, Sifted, messages_of
from evalkit.rulings import Ruling
from evalkit.runs.scheduler import Stop, in_flight
from evalkit.scoring.judge.model import Asker

NAME = "strategy"


def explained(rubric: Rubric) -> str:
    """The filter in a sentence or two."""
    return (
        f"A judge reads the trajectory ({SEEN}) and gives marks for {', '.join(rubric.names)} (rubric "
        f"{rubric.name}, version {rubric.version}). A trajectory stays where no mark is below {rubric.least}. A judge "
        "that fails, or gives no marks that can be read, makes an error: the trajectory is neither kept nor found "
        "wanting. What the judge has said is in its cache: a further curation asks only for the others."
    )


async def strategy(
    entries: Sequence[Entry],
    judge: Asker[Conversation],
    rubric: Rubric,
    *,
    pictures: bool = True,
    at_once: int = 16,
    done: Callable[[], None] = lambda: None,
) -> Sifted[Entry]:
    """Keep the trajectories whose tool use a judge finds strategic.

    Reason: `weak_<criterion>`, of the lowest mark. Errors: `judge_unavailable`, `judge_unparsable`, `image_gone`. The
    entries get `marks` and `why`.

    Args:
        entries: trajectories.
        judge: started, with the wording of `rubric`.
        rubric: which marks are good enough.
        pictures: the judge is shown the images.
        at_once: questions in flight.
        done: called after each trajectory.

    Raises:
        InfrastructureError: the judge's cache is broken.
    """
    rulings: dict[int, Ruling | str] = {}

    async def one(entry: Entry) -> None:
        rulings[id(entry)] = await ruled(judge, lambda: _asked(entry, pictures), rubric)
        done()

    await in_flight(entries, one, at_once, Stop())
    sifted = Sifted[Entry]([], [])
    for entry in entries:
        sift(entry, rulings[id(entry)], rubric, sifted, NAME, "weak")
    return sifted


def _asked(entry: Entry, pictures: bool) -> Conversation:
    return Conversation(messages=messages_of(entry), answer=entry.record.sample.answer, pictures=pictures)
