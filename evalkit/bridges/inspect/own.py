"""Logs that evalkit wrote: the records that their samples hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from evalkit.bridges.imported import Imported
from evalkit.bridges.inspect.content import ContentReader
from evalkit.bridges.inspect.installed import KEY
from evalkit.bridges.inspect.marks import OWN
from evalkit.bridges.inspect.verdicts import marks
from evalkit.errors import DataError, one_line
from evalkit.images import ImageFile, ImageHeader
from evalkit.records import AGENT, RECORD_VERSION, Record, Rule, Turn


class OwnRun(msgspec.Struct):
    """What a log of evalkit's says of its run; see `evalkit.bridges.inspect.write`."""

    records: int
    task: str = ""
    arm: str = AGENT
    images: str = ""
    expected_rows: int | None = None
    system_prompt: str = ""
    notes: list[str] = []
    config: dict[str, Any] = {}

    def describe(self, found: Imported) -> None:
        """Fill in what is known of the run."""
        model, protocol = self.config.get("model"), self.config.get("protocol")
        if isinstance(model, dict) and isinstance(model.get("name"), str):
            found.model = model["name"]
        if isinstance(protocol, dict):
            name, tools = protocol.get("name"), protocol.get("tools")
            found.protocol = name if isinstance(name, str) else None
            found.tools = tuple(map(str, tools)) if isinstance(tools, list) else None
        found.task = self.task or found.task
        found.expected = self.expected_rows
        found.system_prompt = self.system_prompt
        found.score = str(Rule.STRICT)
        found.scorer = KEY
        found.notes.extend(one_line(note, 300) for note in self.notes)
        if self.arm != AGENT:
            found.notes.append(f"these are the rows of arm {one_line(self.arm, 40)} of a run of evalkit's")


def own_run(head: Any) -> OwnRun | None:
    """What a log says of the run of evalkit's that it was made from; None where it is none.

    Raises:
        DataError: it is of a newer evalkit, or damaged.
    """
    told = (head.eval.metadata or {}).get(KEY)
    if told is None:
        return None
    try:
        run = msgspec.convert(told, OwnRun)
    except msgspec.ValidationError as error:
        raise DataError(f"what the log says of its evalkit run is damaged: {one_line(error, 120)}") from None
    if run.records > RECORD_VERSION:
        raise DataError(f"the log has evalkit records of version {run.records}; this evalkit reads {RECORD_VERSION}")
    return run


class OwnReader:
    """Takes records out of samples.

    Args:
        found: the recording, for its notes.
        name: of the log.
    """

    def __init__(self, found: Imported, name: str) -> None:
        self._found = found
        self._name = name
        self._decode = msgspec.json.Decoder(Record, dec_hook=_image).decode

    def record(self, sample: Any, where: str, reader: ContentReader) -> Record:
        """The record of a sample, with the images of its messages, and scores that were given since.

        Raises:
            DataError: it is damaged, or not that of its sample.
        """
        try:
            record = self._decode(sample.store[KEY])
        except (msgspec.MsgspecError, TypeError) as error:
            raise DataError(f"{where}: its evalkit record is damaged: {one_line(error, 120)}") from None
        if (record.sample.id, record.repeat + 1) != (str(sample.id), sample.epoch):
            raise DataError(f"{where}: its evalkit record is that of row {one_line(record.sample.id, 60)!r}")
        shown = self._shown(sample, reader)
        first = next(shown, ())
        turns = tuple(_seen(turn, shown) for turn in record.trajectory.turns)
        since = {name: mark for name, mark in marks(sample.scores).items() if name.split(".")[0] not in OWN}
        return replace(
            record,
            arm=AGENT,
            sample=replace(record.sample, images=first),
            trajectory=replace(record.trajectory, turns=turns),
            outcome=replace(record.outcome, scores={**since, **record.outcome.scores}),
        )

    def _shown(self, sample: Any, reader: ContentReader) -> Iterator[tuple[ImageFile, ...]]:
        """The images of the question, then those of each observation."""
        for message in sample.messages:
            if message.role in ("user", "tool") and not str(message.id).endswith(".again"):
                yield reader.read(message.content, sample.attachments).images


def _seen(turn: Turn, shown: Iterator[tuple[ImageFile, ...]]) -> Turn:
    return replace(turn, observations=tuple(replace(seen, images=next(shown, ())) for seen in turn.observations))


def _image(kind: type, value: Any) -> Any:
    if kind is not ImageFile:
        raise NotImplementedError(kind)
    msgspec.convert(value, ImageHeader)
    return ImageFile.from_bytes(b"")
