"""A record as a sample of an Inspect log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from inspect_ai.log import EvalError, EvalSample, EvalSampleLimit
from inspect_ai.model import ModelOutput
from inspect_ai.tool import ToolInfo, ToolParams

from evalkit.bridges.inspect.conversation import conversation
from evalkit.bridges.inspect.installed import KEY, model_name
from evalkit.bridges.inspect.marks import scores
from evalkit.bridges.inspect.pictures import Scrapbook
from evalkit.bridges.inspect.times import events, output, usage
from evalkit.images import encode_hook
from evalkit.records import Record, Verdict
from evalkit.runs.folder import RunInfo

_LIMITS = {
    Verdict.LIMIT_TURNS: ("turn", "turns"),
    Verdict.LIMIT_TOKENS: ("token", "trajectory_tokens"),
    Verdict.LIMIT_TIME: ("time", "seconds"),
}
_FAILED = (Verdict.ENGINE_ERROR, Verdict.SANDBOX_ERROR, Verdict.DATA_ERROR)


class RowWriter:
    """Makes the samples of one log.

    Args:
        info: the run's.
        scrapbook: for the images.
    """

    def __init__(self, info: RunInfo, scrapbook: Scrapbook) -> None:
        self._system = info.system_prompt
        self._model = model_name(str(info.config["model"]["name"]))
        self._limits: Mapping[str, Any] = info.config.get("limits") or {}
        named = (info.config.get("protocol") or {}).get("tools") or ()
        self._tools = [ToolInfo(name=str(name), description="", parameters=ToolParams()) for name in named]
        self._scrapbook = scrapbook
        # as one text: Inspect walks every value of a tree several times
        self._line = msgspec.json.Encoder(enc_hook=encode_hook).encode

    def sample(self, record: Record) -> EvalSample:
        """A record as a sample.

        What Inspect has no place for is in its store, as the record's own line.
        """
        asked, trajectory, outcome = record.sample, record.trajectory, record.outcome
        name = f"{record.arm}.{record.repeat}.{asked.id}"
        talk = conversation(record, asked.system or self._system, self._model, self._scrapbook, name)
        last = None
        if trajectory.turns:
            last = output(trajectory.turns[-1], trajectory.response, talk.exchanges[-1].said, self._model)
        tokens = usage(trajectory.usage) if trajectory.turns else None
        started = datetime.fromtimestamp(trajectory.started_at, UTC) if trajectory.started_at else None
        ended = None
        if trajectory.started_at and trajectory.total_s is not None:
            ended = datetime.fromtimestamp(trajectory.started_at + trajectory.total_s, UTC)
        failed = outcome.verdict in _FAILED
        why = f"{outcome.verdict}: {outcome.error or trajectory.error}"
        return EvalSample(
            id=asked.id,
            epoch=record.repeat + 1,
            uuid=name,
            input=[talk.question],
            choices=list(asked.choices.values()) or None,
            target=asked.answer,
            messages=talk.messages,
            output=last or ModelOutput(model=self._model),
            scores=scores(record),
            metadata=self._columns(record),
            store={KEY: self._line(record).decode()},
            events=events(trajectory, talk, self._model, self._tools),
            model_usage={} if tokens is None else {self._model: tokens},
            started_at=None if started is None else started.isoformat(),
            completed_at=None if ended is None else ended.isoformat(),
            total_time=trajectory.total_s,
            working_time=trajectory.total_s,
            error=EvalError(message=why, traceback="", traceback_ansi="") if failed else None,
            limit=self._limit(outcome.verdict),
            turn_count=None if trajectory.partial else len(trajectory.turns),
        )

    def _columns(self, record: Record) -> dict[str, Any]:
        """What a sample's list filters on; the run's own columns first, so that ours do not hide them."""
        sample = record.sample
        grouping = {"category": sample.category, "cluster": sample.cluster}
        return {**{name: value for name, value in grouping.items() if value}, **sample.metadata}

    def _limit(self, verdict: Verdict) -> EvalSampleLimit | None:
        kind, key = _LIMITS.get(verdict, (None, ""))
        if kind is None:
            return None
        known: Any = kind
        return EvalSampleLimit(type=known, limit=float(self._limits.get(key) or 0))
