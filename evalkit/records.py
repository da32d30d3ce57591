"""The frozen data of a run: what was asked, what the agent did, and what became of it.

Every figure evalkit prints is derived from `Record` lines. Unknown fields of a newer minor
version are ignored on reading; a change of meaning raises `RECORD_VERSION`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from evalkit.images import ImageFile
from evalkit.rulings import Ruling

RECORD_VERSION = 1

AGENT = "agent"
"""The arm of a run itself: the agent under its protocol as it is."""
AGAIN = "again"
"""The arm of samples that were run a second time with the same settings, to see whether answers repeat."""
DIRECT = "direct"
"""The arm in which the tools are taken away; a call that the model emits all the same is counted and not run."""
FORCED = "forced"
"""The arm in which the model is told to call a tool before it answers."""
ISOLATED = "isolated"
"""The arm of samples that were run one at a time, on an engine that did nothing else: for latency alone."""
_ANSWER = "answer@"


def answer_arm(calls: int) -> str:
    """The arm of forced answers after `calls` calls: the agent's own trajectory, cut there and asked to answer."""
    return f"{_ANSWER}{calls}"


def calls_before_answer(arm: str) -> int | None:
    """After how many calls `arm` asks for the answer; None when it is no arm of forced answers."""
    count = arm.removeprefix(_ANSWER)
    return int(count) if count != arm and count.isascii() and count.isdecimal() else None


Scalar = str | int | float | bool | None


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One benchmark item.

    Attributes:
        id: unique within the task and stable between releases of the data.
        question: the text shown to the model after the images, options included.
        images: in the order in which the model sees them (`image_1` first).
        answer: the reference, in the task's own form.
        choices: option letter to option text, in display order; empty for open questions.
        category: the task's main grouping, e.g. a benchmark's split into question kinds.
        cluster: samples with equal clusters are not independent (same image, same problem).
        metadata: further columns that metrics or reports need.
        prompt: the user's turn after the images, where the data set brings its own; else the protocol words it.
        system: the system prompt, likewise.
    """

    id: str
    question: str
    images: tuple[ImageFile, ...] = ()
    answer: str = ""
    choices: dict[str, str] = {}
    category: str = ""
    cluster: str = ""
    metadata: dict[str, Scalar] = {}
    prompt: str = ""
    system: str = ""


class CallStatus(StrEnum):
    """What became of one tool call the model emitted."""

    MALFORMED = "malformed"
    """It could not be parsed, or its arguments do not fit the tool."""
    UNKNOWN_TOOL = "unknown_tool"
    BLOCKED = "blocked"
    """The protocol's limit of calls to this tool was reached."""
    NOT_RUN = "not_run"
    """Emitted when no call was possible any more: last turn, or tools taken away."""
    OK = "ok"
    FAILED = "failed"
    """The tool ran and reported a failure, e.g. code that raised."""
    TIMEOUT = "timeout"

    @property
    def parsed(self) -> bool:
        """Whether the call was well formed."""
        return self is not CallStatus.MALFORMED

    @property
    def dispatched(self) -> bool:
        """Whether a tool really ran."""
        return self in (CallStatus.OK, CallStatus.FAILED, CallStatus.TIMEOUT)


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One tool call as the model wrote it, and what became of it.

    Attributes:
        tool: name the model used; empty when none could be read.
        arguments: parsed arguments; empty when malformed.
        raw: the text between the protocol's call tags.
        status: see `CallStatus`.
        seconds: host-side time of the call; 0 when nothing ran, None when nobody measured it.
        error: why it is malformed, blocked or failed, in one line.
    """

    tool: str
    raw: str
    status: CallStatus
    arguments: dict[str, Any] = {}
    seconds: float | None = 0.0
    error: str = ""


class Observation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the model was shown after a call: exactly the text and the images it was sent."""

    text: str = ""
    images: tuple[ImageFile, ...] = ()


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of one turn or one trajectory; None where the engine does not report them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    image_tokens: int | None = None

    def __add__(self, other: Usage) -> Usage:
        """The sum; unknown as soon as one part is unknown."""

        def add(a: int | None, b: int | None) -> int | None:
            return None if a is None or b is None else a + b

        return Usage(
            prompt_tokens=add(self.prompt_tokens, other.prompt_tokens),
            completion_tokens=add(self.completion_tokens, other.completion_tokens),
            image_tokens=add(self.image_tokens, other.image_tokens),
        )


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """What a million tokens cost, in any one currency; image tokens are prompt tokens."""

    prompt: float
    completion: float

    def of(self, usage: Usage) -> float | None:
        """The price of `usage`; None where its tokens are not known. A prompt counts in every turn that sends it."""
        if usage.prompt_tokens is None or usage.completion_tokens is None:
            return None
        return self.cost(usage.prompt_tokens, usage.completion_tokens)

    def cost(self, prompt: float, completion: float) -> float:
        """The price of so many tokens."""
        return (prompt * self.prompt + completion * self.completion) / 1e6


class Timing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Seconds of one turn, by the host's clock; None where the engine cannot tell them apart or nobody measured.

    Attributes:
        queue_s: waiting for the engine to start on the request.
        ttft_s: from start to the first token.
        decode_s: from the first token to the last.
        generate_s: the whole request as the agent saw it, queueing and retries included.
        tool_s: all tool calls of the turn.
    """

    queue_s: float | None = None
    ttft_s: float | None = None
    decode_s: float | None = None
    generate_s: float | None = 0.0
    tool_s: float | None = 0.0


class Shown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One image as it first came before the model: what it was, and what the model got of it.

    Attributes:
        origin: "sample", or the name of the tool that gave it.
        width: pixels as the sample or the tool gave it.
        height: pixels as the sample or the tool gave it.
        shown_width: pixels after all resizing, by protocol and processor; None where it is not known.
        shown_height: pixels after all resizing, by protocol and processor; None where it is not known.
        tokens: positions it takes in the prompt; None where it is not known.
        computed: the three above follow from the model family's rule, the engine did not tell them.
        source: which image it was cut from, as the call names it; of a zoom tool, the sample's, as `image_N`.
        box: what was cut out of it (left, top, right, bottom), as the call gives it; of a zoom tool, in pixels of
            the sample's image, whatever the call's own frame and also for a crop of a crop.
    """

    origin: str
    width: int
    height: int
    shown_width: int | None = None
    shown_height: int | None = None
    tokens: int | None = None
    computed: bool = False
    source: str = ""
    box: tuple[float, float, float, float] | None = None


class Turn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One generation, the calls in it, and the observations that followed.

    Attributes:
        text: the model's own text, as the protocol keeps it.
        finish_reason: the engine's word: "stop", "length", ...
        calls: every call emitted in this turn, in order.
        observations: one per call; empty when the trajectory ended with this turn. A turn without a call has one
            where the model was told something before it went on: in `FORCED`, that a call is missing.
        retries: requests that were repeated before this generation came through.
        shown: images that this turn saw first: the sample's in turn 0, then those of the turn before, in order.
        discarded: why the protocol took the turn out of the conversation; empty for one that stayed in. What it cost
            counts, and its calls were made; the model never saw their results, or no longer does.
        temperature: in place of the run's, where the protocol drew this turn with another one.
    """

    text: str
    finish_reason: str = ""
    calls: tuple[ToolCall, ...] = ()
    observations: tuple[Observation, ...] = ()
    usage: Usage = Usage()
    timing: Timing = Timing()
    retries: int = 0
    shown: tuple[Shown, ...] = ()
    discarded: str = ""
    temperature: float | None = None


class StopReason(StrEnum):
    """Why a trajectory ended."""

    ANSWERED = "answered"
    """The protocol's answer was given."""
    ENDED = "ended"
    """The model stopped without the protocol's answer form and without a call."""
    LIMIT_TURNS = "limit_turns"
    LIMIT_TOKENS = "limit_tokens"
    LIMIT_TIME = "limit_time"
    GAVE_UP = "gave_up"
    """The protocol has no further try: there is no answer, whatever the last turn says."""
    ENGINE_ERROR = "engine_error"
    SANDBOX_ERROR = "sandbox_error"
    DATA_ERROR = "data_error"


class Trajectory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All turns of one agent on one sample.

    Attributes:
        prompt: the text of the first user turn as sent (the system prompt is in `run.json`); in an `answer_arm`,
            of the last message before the answer: the agent's own turns before it are not repeated.
        turns: in order.
        stop: why it ended.
        error: one line, for the error stops, and for GAVE_UP.
        started_at: seconds since the epoch; None where it is not known.
        total_s: wall time from start to end; None where nobody measured it.
        partial: only the last response is known, as in a table of predictions: nothing can be said about
            earlier turns, tool calls or times.
        restarts: conversations that the protocol gave up and began anew.
        fallback: the text of the question without tools to which the last turn is the reply, where the protocol's
            tries had failed; empty where the agent came to its end by itself.
        final: what is scored, where the protocol says that this is not the whole of the last turn's text.
    """

    prompt: str
    stop: StopReason
    turns: tuple[Turn, ...] = ()
    error: str = ""
    started_at: float | None = 0.0
    total_s: float | None = 0.0
    partial: bool = False
    restarts: int = 0
    fallback: str = ""
    final: str = ""

    @property
    def response(self) -> str:
        """What gets scored: the last turn's text, or what the protocol takes of it; empty when there is none."""
        return self.final or (self.turns[-1].text if self.turns else "")

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """Every call of every turn."""
        return tuple(call for turn in self.turns for call in turn.calls)

    @property
    def usage(self) -> Usage:
        """Tokens over all turns (a prompt counts again in every turn that sends it)."""
        zero = Usage(prompt_tokens=0, completion_tokens=0, image_tokens=0)
        return sum((turn.usage for turn in self.turns), zero)


class Verdict(StrEnum):
    """What became of one sample. The errors are never wrong answers."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNPARSED = "unparsed"
    """The model ended without an answer that the rule can read."""
    LIMIT_TURNS = "limit_turns"
    LIMIT_TOKENS = "limit_tokens"
    LIMIT_TIME = "limit_time"
    JUDGE_ERROR = "judge_error"
    """The scoring failed: a judge, or the task's own rule."""
    ENGINE_ERROR = "engine_error"
    SANDBOX_ERROR = "sandbox_error"
    DATA_ERROR = "data_error"

    @property
    def is_error(self) -> bool:
        """Whether the harness, not the agent, failed: such a row has no score."""
        return self in _ERRORS


_ERRORS = frozenset({Verdict.JUDGE_ERROR, Verdict.ENGINE_ERROR, Verdict.SANDBOX_ERROR, Verdict.DATA_ERROR})


class Rule(StrEnum):
    """Which reading of an answer a figure rests on; the verdicts of both are stored."""

    STRICT = "strict"
    """Evalkit's own: never a guess."""
    OFFICIAL = "official"
    """The benchmark's authors' scripts, as they are."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The score of one trajectory.

    Attributes:
        verdict: see `Verdict`.
        answer: what was extracted; None when nothing was.
        reason: how it was extracted ("answer_tag", "boxed", "letter", ...), or why not.
        official: right under the benchmark's official rule; None where it has none.
        official_answer: what the official rule extracted.
        error: one line for the error verdicts.
        scorer: rule and version that gave the verdict, e.g. "wemath/1".
        recorded: right by the word of the recording that the trajectory was imported from; None where it
            has none. Scoring again does not change it.
        ruling: what a judge said; None where none was asked.
        scores: further marks of the row by name, as the recording or the task's own scorer gives them: numbers,
            texts, small trees. The verdict does not follow from them.
    """

    verdict: Verdict
    answer: str | None = None
    reason: str = ""
    official: bool | None = None
    official_answer: str | None = None
    error: str = ""
    scorer: str = ""
    recorded: bool | None = None
    ruling: Ruling | None = None
    scores: dict[str, Any] = {}

    def right(self, rule: Rule = Rule.STRICT) -> bool:
        """Whether the answer is right under `rule`; False too where the rule gave no verdict."""
        return self.official is True if rule is Rule.OFFICIAL else self.verdict is Verdict.CORRECT


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of `samples.jsonl`: a sample, the trajectory on it, and its outcome.

    Attributes:
        arm: which condition it belongs to: `AGENT`, `AGAIN`, `DIRECT`, `FORCED`, `ISOLATED` or an `answer_arm`.
        repeat: 0-based index when a sample is run several times in one arm.
    """

    version: int
    sample: Sample
    trajectory: Trajectory
    outcome: Outcome
    arm: str = AGENT
    repeat: int = 0

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes the record unique in its run; a later line with the same key supersedes it."""
        return (self.sample.id, self.arm, self.repeat)
