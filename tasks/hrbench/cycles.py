"""HR-Bench's questions: four rows each, with the right option at A, B, C and D in turn."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import msgspec

from evalkit.errors import DataError, one_line
from evalkit.images import ImageFile

LETTERS = "ABCD"
CATEGORIES = ("single", "cross")
TURNS = len(LETTERS)


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One row.

    Attributes:
        id: the row's `index`.
        number: of the row in its table, from 1.
        choices: letter to text.
        answer: the right letter.
        category: "single" or "cross".
        cycle: label of the round of option orders the row belongs to.
    """

    id: str
    number: int
    question: str
    choices: dict[str, str]
    answer: str
    category: str
    cycle: str
    image: ImageFile

    @property
    def text(self) -> tuple[str, ...]:
        """What the rows of a question have in common: category, question, right text, set of options."""
        options = {letter: _plain(option) for letter, option in self.choices.items()}
        return (self.category, _plain(self.question), options[self.answer], *sorted(options.values()))


Group = list[Item]


def questions(items: Sequence[Item], source: str) -> list[Group]:
    """Put the rows of each question together, in the order of their first rows.

    Rows of one question have category, question, right option and set of options in common. Different
    questions may have all that in common too (the same question on several images): they are told apart by
    their images where the table shows without decoding which rows have the same one, else by their place:
    the four rows of a question then stand together.

    Args:
        items: all rows, in the table's order.
        source: how messages call the task and the table.

    Raises:
        DataError: rows do not make up questions of four with four different right letters, each of the four
            cycles once; the message names the rows.
    """
    alike: dict[tuple[str, ...], Group] = defaultdict(list)
    for item in items:
        alike[item.text].append(item)
    groups = [group for rows in alike.values() for group in _split(rows, source)]
    labels = Counter(item.cycle for item in items)
    if items and len(labels) != TURNS:
        names = ", ".join(one_line(label, 20) for label in sorted(labels)[:8])
        raise DataError(f"{source}: {len(labels)} values of cycle_category, not {TURNS}: {names}")
    for group in groups:
        for kind, found in (("answers", [i.answer for i in group]), ("cycles", [i.cycle for i in group])):
            if len(set(found)) != TURNS:
                raise DataError(f"{source}: {_named(group)} have {kind} {', '.join(found)}, not four different ones")
    return sorted(groups, key=lambda group: group[0].number)


def _split(rows: Group, source: str) -> list[Group]:
    """The questions among rows whose text is alike."""
    if len(rows) == TURNS:
        return [rows]
    for ways in (_by_image, _by_place):
        groups = ways(rows)
        if all(len(group) == TURNS for group in groups):
            return groups
    letters = ", ".join(item.answer for item in rows[:12])
    what = f"are {len(rows)} of a question, answers {letters}; a question has {TURNS} rows, answers A, B, C, D"
    raise DataError(f"{source}: {_named(rows)} {what}")


def _by_image(rows: Group) -> list[Group]:
    return _parted(rows, lambda item: item.image.mark())


def _by_place(rows: Group) -> list[Group]:
    """Rows that stand together, four at a time."""
    place = {item.number: at for at, item in enumerate(rows)}
    runs = _parted(rows, lambda item: str(item.number - place[item.number]))
    return [run[start : start + TURNS] for run in runs for start in range(0, len(run), TURNS)]


def _parted(rows: Group, key: Callable[[Item], str]) -> list[Group]:
    parts: dict[str, Group] = defaultdict(list)
    for item in rows:
        parts[key(item)].append(item)
    return list(parts.values())


def _named(group: Group) -> str:
    """The rows of a group as a message names them."""
    numbers = ", ".join(str(item.number) for item in group[:12])
    more = ", …" if len(group) > 12 else ""
    return f"rows {numbers}{more} ({one_line(group[0].question, 60)!r})"


def _plain(text: str) -> str:
    return " ".join(text.split())
