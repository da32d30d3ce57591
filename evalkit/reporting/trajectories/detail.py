"""One trajectory as a report's page shows it, as plain data: texts cut and said to be, nothing made into markup."""

from __future__ import annotations

import msgspec

from evalkit.records import Timing, Usage

Fractions = tuple[float, float, float, float]
"""Left, top, right and bottom as shares of an image's width and height."""


class Text(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A text of a model, a tool or a data set.

    Attributes:
        text: its start; all of it where nothing is left out.
        left: characters left out after the start.
        tail: its end, where something is left out before it.
    """

    text: str = ""
    left: int = 0
    tail: str = ""


class Piece(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stretch of the model's text.

    Attributes:
        kind: "reason", "answer", "call", or "text" for what stands between.
        body: without its tags.
        opening: the tag it begins with, as it stands.
        closing: the tag it ends with, as it stands; empty where it was never closed.
        call: place of the turn's call that this is; its body is then told by the call.
    """

    kind: str
    body: Text = Text()
    opening: str = ""
    closing: str = ""
    call: int | None = None


class Picture(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A thumbnail.

    Attributes:
        data: a `data:` URI; empty where there is none.
        why: why there is none.
    """

    data: str = ""
    why: str = ""


class Image(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image of the conversation.

    Attributes:
        picture: key of its thumbnail in `Details.pictures`.
        width: pixels as recorded.
        height: pixels as recorded.
        shown_width: pixels that the model got; None where it is not known.
        shown_height: see `shown_width`.
        tokens: positions in the prompt; None where it is not known.
    """

    picture: str
    width: int
    height: int
    shown_width: int | None = None
    shown_height: int | None = None
    tokens: int | None = None


class Crop(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a call cut out of an image.

    Attributes:
        text: image and box as the call gives them.
        image: place of the image in `Detail.images`; None where the name says none that is there.
        box: on that image; None where it lies outside of it.
    """

    text: str
    image: int | None = None
    box: Fractions | None = None


class Observation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the model was shown; the images by their place in `Detail.images`."""

    body: Text = Text()
    images: tuple[int, ...] = ()


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool call and what came of it.

    Attributes:
        tool: as the model names it.
        status: see `CallStatus`.
        ran: whether a tool really ran.
        seconds: None where nobody measured it.
        error: one line.
        code: Python as (class of token, text); empty where the call has none.
        code_left: characters of the code that are left out at its end.
        arguments: the others, (name, value).
        arguments_left: arguments left out.
        raw: the call as it stands, where it could not be read.
        crop: what it cut out; None where it does not say so, or failed.
        observation: None where the trajectory ended before one.
    """

    tool: str
    status: str
    ran: bool = False
    seconds: float | None = None
    error: str = ""
    code: tuple[tuple[str, str], ...] = ()
    code_left: int = 0
    arguments: tuple[tuple[str, Text], ...] = ()
    arguments_left: int = 0
    raw: Text = Text()
    crop: Crop | None = None
    observation: Observation | None = None


class Turn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One generation.

    Attributes:
        pieces: the model's text, in order.
        pieces_left: characters of the text after the last piece.
        calls: in order.
        calls_left: calls left out after them.
        told: what the model was told without a call of its own.
        usage: tokens.
        timing: seconds.
        finish: the engine's word for the end.
        retries: requests that were repeated.
        discarded: why it was taken out of the conversation; empty for one that stayed in.
        temperature: in place of the run's.
    """

    pieces: tuple[Piece, ...] = ()
    pieces_left: int = 0
    calls: tuple[Call, ...] = ()
    calls_left: int = 0
    told: tuple[Observation, ...] = ()
    usage: Usage = Usage()
    timing: Timing = Timing()
    finish: str = ""
    retries: int = 0
    discarded: str = ""
    temperature: float | None = None


class Judgement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of an answer.

    Attributes:
        verdict: under the strict rule.
        answer: what it read; None when nothing.
        reason: how, or why not.
        error: one line for the error verdicts.
        scorer: rule and version.
        official: the verdict's name under the official rule; empty where the benchmark has none.
        official_answer: what that rule read.
        recorded: right by the word of the recording; None where it has none.
    """

    verdict: str
    answer: str | None = None
    reason: str = ""
    error: str = ""
    scorer: str = ""
    official: str = ""
    official_answer: str | None = None
    recorded: bool | None = None


class Without(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The same sample without tools: the first answer of the arm `direct`."""

    judgement: Judgement
    body: Text = Text()


class Detail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One trajectory of the agent.

    Attributes:
        id: the sample's.
        category: of the sample.
        question: as the model reads it, without the list of options where that ends it.
        options: (letter, text) in display order.
        right: the reference answer.
        images: of the conversation, the sample's first.
        own: how many of them are the sample's.
        images_left: images left out after them.
        prompt: as sent, where it is not the question.
        turns: in order.
        turns_left: turns left out after them.
        stop: why it ended.
        error: one line.
        seconds: from start to end; None where nobody measured it.
        usage: tokens over all turns.
        partial: only the last response is known.
        restarts: conversations that were begun anew.
        fallback: the question without tools to which the last turn is the reply, where every try had failed.
        final: what is scored, where that is not the last turn's text.
        judgement: see `Judgement`.
        without: None where the sample was not run without tools.
    """

    id: str
    judgement: Judgement
    stop: str
    category: str = ""
    question: Text = Text()
    options: tuple[tuple[str, Text], ...] = ()
    right: str = ""
    images: tuple[Image, ...] = ()
    own: int = 0
    images_left: int = 0
    prompt: Text | None = None
    turns: tuple[Turn, ...] = ()
    turns_left: int = 0
    error: str = ""
    seconds: float | None = None
    usage: Usage = Usage()
    partial: bool = False
    restarts: int = 0
    fallback: Text | None = None
    final: Text | None = None
    without: Without | None = None


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """Trajectories of one run.

    Attributes:
        rows: by row number of the run's index.
        pictures: thumbnails by content; several trajectories may show one.
        left_out: rows that were asked for and did not fit.
        unreadable: why, by row number, where a record could not be read.
    """

    rows: dict[int, Detail]
    pictures: dict[str, Picture] = {}
    left_out: int = 0
    unreadable: dict[int, str] = {}
