"""Records of a run's arms, made by hand: what a test needs to say of a trajectory, and nothing else."""

from __future__ import annotations

from evalkit import (
    CallStatus,
    Outcome,
    Record,
    Sample,
    StopReason,
    ToolCall,
    Trajectory,
    Turn,
    Usage,
    Verdict,
)

RIGHT, WRONG, NO_ANSWER, ERROR = Verdict.CORRECT, Verdict.INCORRECT, Verdict.UNPARSED, Verdict.ENGINE_ERROR


def record(
    id: object,
    verdict: Verdict,
    *,
    arm: str = "agent",
    repeat: int = 0,
    calls: int = 0,
    not_run: int = 0,
    options: int = 4,
    category: str = "",
    cluster: str = "",
    answer: str | None = None,
    tokens: int | None = 10,
    seconds: float | None = 1.0,
    official: bool | None = None,
    partial: bool = False,
) -> Record:
    """One record. A right or wrong one has an answer ("right" or "wrong") unless another is given."""
    made = [CallStatus.OK] * calls + [CallStatus.NOT_RUN] * not_run
    turn = Turn(
        text="",
        calls=tuple(ToolCall(tool="python", raw="", status=status) for status in made),
        usage=Usage(prompt_tokens=1, completion_tokens=tokens),
    )
    given = {RIGHT: "right", WRONG: "wrong"}.get(verdict)
    return Record(
        version=1,
        sample=Sample(
            id=str(id),
            question="",
            choices={chr(65 + i): str(i) for i in range(options)},
            category=category,
            cluster=cluster,
        ),
        trajectory=Trajectory(
            prompt="", stop=StopReason.ANSWERED, turns=(turn,), total_s=seconds, started_at=0.0, partial=partial
        ),
        outcome=Outcome(
            verdict=verdict,
            answer=given if answer is None else answer,
            official=official,
            official_answer=None if official is None else "x",
        ),
        arm=arm,
        repeat=repeat,
    )


def pair(
    id: object, *, called: bool, with_: bool, without: bool, options: int = 4, category: str = "", cluster: str = ""
) -> list[Record]:
    """One sample with tools and without."""

    def one(arm: str, right: bool, calls: int) -> Record:
        verdict = RIGHT if right else WRONG
        return record(id, verdict, arm=arm, calls=calls, options=options, category=category, cluster=cluster)

    return [one("agent", with_, int(called)), one("direct", without, 0)]


def cells(counts: dict[tuple[bool, bool, bool], int], options: int = 4) -> list[Record]:
    """Pairs by (called, right with, right without)."""
    made: list[Record] = []
    for (called, with_, without), count in counts.items():
        for _ in range(count):
            made += pair(len(made), called=called, with_=with_, without=without, options=options)
    return made
