"""Tool use as a judge sees it: trajectories whose calls were to the point stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from evalkit.curation.grading import SEEN, Conversation
from evalkit.curation.rubric import Rubric
from evalkit.curation.source import Entry, Sifted, messages_of
from evalkit.errors import DataError, InfrastructureError, one_line
from evalkit.rulings import Ruling, Said
from evalkit.runs.scheduler import Stop, in_flight
from evalkit.scoring.judge.model import Asker

NAME = "strategy"
_decode = msgspec.json.Decoder(dict[str, int]).decode


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
) -> Sifted:
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
        rulings[id(entry)] = await _rule(entry, judge, rubric, pictures)
        done()

    await in_flight(entries, one, at_once, Stop())
    sifted = Sifted([], [])
    for entry in entries:
        ruling = rulings[id(entry)]
        if isinstance(ruling, str):
            sifted.out.append(entry.fate(NAME, "image_gone", ruling, error=True))
        else:
            _sift(entry, ruling, rubric, sifted)
    return sifted


def _sift(entry: Entry, ruling: Ruling, rubric: Rubric, sifted: Sifted) -> None:
    if ruling.said.failed or ruling.answer is None:
        sifted.out.append(entry.fate(NAME, f"judge_{ruling.said.value}", ruling.error, error=True))
        return
    marks: dict[str, Any] = _decode(ruling.answer)
    entry.found.update(marks=marks, why=ruling.quote, judge=ruling.judge)
    if rubric.good(marks):
        sifted.kept.append(entry)
        return
    lowest = min(rubric.names, key=marks.__getitem__)
    sifted.out.append(entry.fate(NAME, f"weak_{lowest}", ruling.quote))


async def _rule(entry: Entry, judge: Asker[Conversation], rubric: Rubric, pictures: bool) -> Ruling | str:
    """The judge's word, or why there is nothing to show it."""
    try:
        asked = Conversation(messages=messages_of(entry), answer=entry.record.sample.answer, pictures=pictures)
        return await judge.rule(asked)
    except InfrastructureError:
        raise
    except DataError as error:
        return one_line(error)
    except Exception as error:
        why = f"the judge failed: {type(error).__name__}: {one_line(error)}"
        return Ruling(asked=rubric.name, said=Said.UNAVAILABLE, error=why)
