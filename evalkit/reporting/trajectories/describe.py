"""A record as the page shows it."""

from __future__ import annotations

from typing import Any

import msgspec

from evalkit.analysis.transitions import verdict_name
from evalkit.records import Observation as RecordedObservation
from evalkit.records import Outcome, Record, Rule, Sample, ToolCall
from evalkit.records import Turn as RecordedTurn
from evalkit.reporting.trajectories import cutting
from evalkit.reporting.trajectories.code import tokens
from evalkit.reporting.trajectories.conversation import Conversation
from evalkit.reporting.trajectories.crops import crop
from evalkit.reporting.trajectories.cutting import Scissors
from evalkit.reporting.trajectories.detail import Call, Detail, Judgement, Observation, Piece, Text, Turn, Without
from evalkit.reporting.trajectories.pieces import Stretch, split

MOST_TURNS = 60
MOST_CALLS = 30
MOST_PIECES = 60
MOST_ARGUMENTS = 20
MOST_OPTIONS = 60
_CODE = "code"
_NOTHING = RecordedObservation()


def describe(record: Record, direct: Record | None) -> Detail:
    """The trajectory with everything that the page shows of it.

    Args:
        record: of the agent.
        direct: of the same sample without tools; None where it was not run so.
    """
    return _Describer(record).detail(direct)


class _Describer:
    def __init__(self, record: Record) -> None:
        self.record = record
        self.scissors = Scissors()
        self.seen = Conversation(record)

    def detail(self, direct: Record | None) -> Detail:
        sample, trajectory = self.record.sample, self.record.trajectory
        asked = _without_options(sample)
        unlike = trajectory.prompt.strip() not in ("", sample.question.strip())
        return Detail(
            id=sample.id,
            category=sample.category,
            question=self.scissors.cut(asked, cutting.TEXT),
            options=tuple(
                (letter[:40], self.scissors.cut(text, cutting.ARGUMENT))
                for letter, text in list(sample.choices.items())[:MOST_OPTIONS]
            ),
            right=sample.answer[: cutting.ARGUMENT],
            own=self.seen.own,
            images=self.seen.images(),
            images_left=self.seen.left,
            prompt=self.scissors.cut(trajectory.prompt, cutting.OBSERVATION) if unlike else None,
            judgement=judgement(self.record.outcome),
            without=None if direct is None else self.without(direct),
            turns=tuple(self.turn(number, turn) for number, turn in enumerate(trajectory.turns[:MOST_TURNS])),
            turns_left=max(len(trajectory.turns) - MOST_TURNS, 0),
            stop=str(trajectory.stop),
            error=trajectory.error,
            seconds=trajectory.total_s,
            usage=trajectory.usage,
            partial=trajectory.partial,
            restarts=trajectory.restarts,
            fallback=self.some(trajectory.fallback),
            final=self.some(trajectory.final),
        )

    def some(self, text: str) -> Text | None:
        return self.scissors.cut(text, cutting.OBSERVATION) if text else None

    def without(self, direct: Record) -> Without:
        body = self.scissors.cut(direct.trajectory.response, cutting.OBSERVATION)
        return Without(judgement=judgement(direct.outcome), body=body)

    def turn(self, number: int, turn: RecordedTurn) -> Turn:
        stretches = split(turn.text, [call.raw for call in turn.calls])
        kept, beyond = stretches[:MOST_PIECES], stretches[MOST_PIECES:]
        return Turn(
            pieces=tuple(self.piece(stretch) for stretch in kept),
            pieces_left=sum(len(one.opening) + len(one.body) + len(one.closing) for one in beyond),
            calls=tuple(self.call(number, place, call) for place, call in enumerate(turn.calls[:MOST_CALLS])),
            calls_left=max(len(turn.calls) - MOST_CALLS, 0),
            told=tuple(self.observation(number, place) for place in range(len(turn.calls), len(turn.observations))),
            usage=turn.usage,
            timing=turn.timing,
            finish=turn.finish_reason,
            retries=turn.retries,
            discarded=turn.discarded[: cutting.ARGUMENT],
            temperature=turn.temperature,
        )

    def piece(self, stretch: Stretch) -> Piece:
        told = stretch.call is not None and stretch.call < MOST_CALLS
        return Piece(
            kind=stretch.kind,
            body=Text() if told else self.scissors.cut(stretch.body, cutting.TEXT),
            opening=stretch.opening.strip(),
            closing=stretch.closing.strip(),
            call=stretch.call if told else None,
        )

    def call(self, number: int, place: int, call: ToolCall) -> Call:
        given = self.seen.places(number, place)
        observations = self.record.trajectory.turns[number].observations
        # a call that did not run often has an empty one, for the count
        shows = place < len(observations) and (call.status.dispatched or observations[place] != _NOTHING)
        code = call.arguments.get(_CODE)
        code = code if isinstance(code, str) else ""
        kept = self.scissors.start(code, cutting.TEXT)
        others = [(name, value) for name, value in call.arguments.items() if name != _CODE or not code]
        shown = self.seen.shown(given[0]) if given else None
        return Call(
            tool=call.tool,
            status=str(call.status),
            ran=call.status.dispatched,
            seconds=call.seconds,
            error=call.error,
            code=tokens(kept),
            code_left=len(code) - len(kept),
            arguments=tuple((name[:60], self.value(value)) for name, value in others[:MOST_ARGUMENTS]),
            arguments_left=max(len(others) - MOST_ARGUMENTS, 0),
            raw=Text() if call.arguments else self.scissors.cut(call.raw, cutting.OBSERVATION),
            crop=crop(call, shown, self.seen.files, self.seen.own),
            observation=self.observation(number, place) if shows else None,
        )

    def value(self, value: Any) -> Text:
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        return self.scissors.cut(text, cutting.ARGUMENT)

    def observation(self, number: int, place: int) -> Observation:
        observed = self.record.trajectory.turns[number].observations[place]
        return Observation(
            body=self.scissors.cut(observed.text, cutting.OBSERVATION), images=self.seen.places(number, place)
        )


def judgement(outcome: Outcome) -> Judgement:
    """The verdicts under both rules, and the recording's."""
    two = outcome.official is not None or outcome.official_answer is not None
    return Judgement(
        verdict=str(outcome.verdict),
        answer=_answer(outcome.answer),
        reason=outcome.reason,
        error=outcome.error,
        scorer=outcome.scorer,
        official=verdict_name(outcome, Rule.OFFICIAL) if two else "",
        official_answer=_answer(outcome.official_answer),
        recorded=outcome.recorded,
    )


def _answer(answer: str | None) -> str | None:
    return None if answer is None else answer[: cutting.ARGUMENT]


def _without_options(sample: Sample) -> str:
    """The question alone, where it ends with the options as lists show them."""
    listed = "\n".join(f"{letter}. {text}" for letter, text in sample.choices.items())
    question = sample.question.rstrip()
    return question[: -len(listed)].rstrip() if listed and question.endswith(listed) else sample.question
