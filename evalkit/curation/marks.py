"""What a judge's marks make of what is sifted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec

from evalkit.curation.grading import Conversation
from evalkit.curation.report import Fate
from evalkit.curation.rubric import Rubric
from evalkit.curation.source import Sifted
from evalkit.errors import DataError, InfrastructureError, one_line
from evalkit.rulings import Ruling, Said
from evalkit.scoring.judge.model import Asker

_decode = msgspec.json.Decoder(dict[str, int]).decode


class Marked(Protocol):
    """What is sifted: it takes what was found of it, and says what became of it."""

    @property
    def found(self) -> dict[str, Any]:
        """What filters measured on it; they add to it."""

    def fate(self, step: str = "", reason: str = "", detail: str = "", *, error: bool = False) -> Fate:
        """What became of it."""


T = TypeVar("T", bound=Marked)


async def ruled(judge: Asker[Conversation], asked: Callable[[], Conversation], rubric: Rubric) -> Ruling | str:
    """The judge's word, or why there is nothing to show it; a judge that fails is a ruling that says so.

    Raises:
        InfrastructureError: the judge's cache is broken.
    """
    try:
        return await judge.rule(asked())
    except InfrastructureError:
        raise
    except DataError as error:
        return one_line(error)
    except Exception as error:
        # a judge of the user's own raises whatever it likes
        why = f"the judge failed: {type(error).__name__}: {one_line(error)}"
        return Ruling(asked=rubric.name, said=Said.UNAVAILABLE, error=why)


def sift(each: T, ruling: Ruling | str, rubric: Rubric, sifted: Sifted[T], name: str, flaw: str) -> None:
    """Keep it or leave it out, by its marks.

    Args:
        each: what was judged.
        ruling: see `ruled`.
        rubric: what it was asked.
        sifted: where it goes.
        name: of the filter.
        flaw: what its lowest mark makes it, before that mark's name.
    """
    if isinstance(ruling, str):
        sifted.out.append(each.fate(name, "image_gone", ruling, error=True))
        return
    if ruling.said.failed or ruling.answer is None:
        sifted.out.append(each.fate(name, f"judge_{ruling.said.value}", ruling.error, error=True))
        return
    marks = _decode(ruling.answer)
    each.found.update(marks=marks, why=ruling.quote, judge=ruling.judge)
    if rubric.good(marks):
        sifted.kept.append(each)
        return
    lowest = min(rubric.names, key=marks.__getitem__)
    sifted.out.append(each.fate(name, f"{flaw}_{lowest}", ruling.quote))
