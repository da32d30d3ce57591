"""A run's records as pandas frames; `evalkit.analysis.columns` says what the columns mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import union_categoricals

from evalkit.analysis import columns
from evalkit.analysis.light import TAIL, LightRecord, LightTurn, read_light
from evalkit.records import AGENT, DIRECT, FORCED, CallStatus, Record, StopReason, Turn, Verdict
from evalkit.runs.folder import read_info

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

WHOLE_ARMS = (AGENT, DIRECT, FORCED)
"""Arms that ask every row of the benchmark; the others ask a part of them."""
CALL_TAGS = ("</tool_call>", "</grounding>", "</code>")
"""Ends of a tool call in the protocols of the field."""

_STATUSES = {status: code for code, status in enumerate(CallStatus)}
_RAN = np.array([status.dispatched for status in CallStatus])
_LARGEST = 1e100


@dataclass(frozen=True, slots=True)
class RunFrames:
    """One run.

    Attributes:
        run: its name.
        task: the benchmark.
        model: as the run names it.
        expected: rows of the benchmark as configured; None where nothing says so.
        engine: what answered: an engine, "imported" or "predictions".
        samples: one row per record, index 0..n-1.
        turns: one row per generation; `row` is the record's index in `samples`.
        calls: one row per tool call.
        images: one row per image that came before the model.
    """

    run: str
    task: str
    model: str
    expected: int | None
    engine: str
    samples: pd.DataFrame
    turns: pd.DataFrame
    calls: pd.DataFrame
    images: pd.DataFrame

    @property
    def arms(self) -> list[str]:
        """The arms there are records of, the agent's own always among them and first."""
        found = self.samples["arm"].unique().tolist()
        return [AGENT, *sorted(str(arm) for arm in found if arm != AGENT)]

    def arm(self, name: str, repeat: int = 0, *, known: bool = False) -> pd.DataFrame:
        """The rows of one arm, one per sample.

        Args:
            name: of the arm.
            repeat: which of several tries.
            known: leave out errors, and rows of which only the last response is known.
        """
        rows = self.samples
        chosen = ((rows["arm"] == name) & (rows["repeat"] == repeat)).to_numpy()
        if known:
            chosen = chosen & ~rows["error"].to_numpy() & ~rows["partial"].to_numpy()
        return rows if chosen.all() else rows[chosen]


def read_run(folder: Path, run: str | None = None) -> RunFrames:
    """The frames of a run folder.

    Args:
        folder: with `run.json` and `samples.jsonl`.
        run: its name in the frames, where the folder's own is not enough.

    Raises:
        DataError: it is no run folder, or a line in it is corrupt; the message names it.
    """
    info = read_info(folder)
    task, model = info.config["task"]["name"], info.config["model"]["name"]
    return frames_of(
        read_light(folder),
        run=folder.name if run is None else run,
        task=str(task),
        model=str(model),
        expected=info.due_rows,
        engine=str(info.config.get("engine", "")),
    )


def frames_of(
    records: Sequence[Record] | Sequence[LightRecord],
    *,
    run: str = "",
    task: str = "",
    model: str = "",
    expected: int | None = None,
    engine: str = "",
) -> RunFrames:
    """The frames of records, one per trajectory."""
    n = len(records)
    turns: list[Any] = [turn for record in records for turn in record.trajectory.turns]
    row = _places([len(record.trajectory.turns) for record in records])
    turn_frame = _turns(turns, row, n)
    call_frame = _calls(turns, turn_frame)
    image_frame = _images(turns, row)
    named = {name: _constant(value, n) for name, value in {"run": run, "task": task, "model": model}.items()}
    samples = _samples(records, named, turn_frame, call_frame, image_frame)
    return RunFrames(run, task, model, expected, engine, samples, turn_frame, call_frame, image_frame)


def stacked(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Frames with the same columns below one another, categories kept; the index is 0..n-1."""
    parts = list(frames)
    if len(parts) == 1:
        return parts[0].reset_index(drop=True)
    joined: dict[str, Any] = {}
    for name in parts[0].columns:
        pieces = [part[name] for part in parts]
        if isinstance(pieces[0].dtype, pd.CategoricalDtype):
            joined[name] = union_categoricals(pieces)
        else:
            joined[name] = pd.concat(pieces, ignore_index=True)
    return pd.DataFrame(joined)


def known(values: Sequence[float | None]) -> Floats:
    """Numbers as an array, NaN for what nobody knows and for what no measurement can give."""
    array = np.array(values, dtype=np.float64)
    array[~(np.abs(array) <= _LARGEST)] = np.nan
    return array


def _samples(
    records: Sequence[Any],
    named: dict[str, pd.Categorical],
    turns: pd.DataFrame,
    calls: pd.DataFrame,
    images: pd.DataFrame,
) -> pd.DataFrame:
    n = len(records)
    samples = [record.sample for record in records]
    trajectories = [record.trajectory for record in records]
    outcomes = [record.outcome for record in records]
    verdicts = [outcome.verdict for outcome in outcomes]
    row = turns["row"].to_numpy()
    codes = calls["status"].cat.codes.to_numpy().astype(np.int64)
    status = np.bincount(calls["row"].to_numpy() * len(_STATUSES) + codes, minlength=n * len(_STATUSES))
    counts = {str(kind): status.reshape(n, len(_STATUSES))[:, code] for kind, code in _STATUSES.items()}
    emitted = sum(counts.values(), np.zeros(n, dtype=np.int64))

    def count(flags: Any) -> Ints:
        return np.bincount(row[flags.to_numpy()], minlength=n).astype(np.int64)

    def seconds(column: str) -> Floats:
        """Of a trajectory without turns nothing is known."""
        sums = _sums(row, turns[column], n)
        sums[np.bincount(row, minlength=n) == 0] = np.nan
        return sums

    image_row = images["row"].to_numpy()
    shown = np.bincount(image_row, minlength=n).astype(np.int64)
    table = {
        **named,
        "arm": _category([record.arm for record in records]),
        "sample": pd.array([sample.id for sample in samples], dtype="str"),
        "repeat": np.array([record.repeat for record in records], dtype=np.int64),
        "category": _category([sample.category for sample in samples]),
        "cluster": _category([sample.cluster or sample.id for sample in samples]),
        "verdict": _enum(verdicts, Verdict),
        "error": np.array([verdict.is_error for verdict in verdicts], dtype=bool),
        "right": np.array([verdict is Verdict.CORRECT for verdict in verdicts], dtype=bool),
        "official": pd.array([outcome.official for outcome in outcomes], dtype="boolean"),
        "recorded": pd.array([outcome.recorded for outcome in outcomes], dtype="boolean"),
        "answer": pd.array([outcome.answer for outcome in outcomes], dtype="str"),
        "reason": _category([outcome.reason for outcome in outcomes]),
        "scorer": _category([outcome.scorer for outcome in outcomes]),
        "message": _category([outcome.error for outcome in outcomes]),
        "stop": _enum([trajectory.stop for trajectory in trajectories], StopReason),
        "partial": np.array([trajectory.partial for trajectory in trajectories], dtype=bool),
        "options": np.array([len(sample.choices) for sample in samples], dtype=np.int64),
        "turns": np.bincount(row, minlength=n).astype(np.int64),
        "calls": emitted,
        **counts,
        "parsed": emitted - counts["malformed"],
        "dispatched": counts["ok"] + counts["failed"] + counts["timeout"],
        "acted": count(turns["acted"]),
        "call_ends": count(turns["call_end"]),
        "first_tool": _first_tools(calls, n),
        "prompt_tokens": _sums(row, turns["prompt_tokens"], n),
        "completion_tokens": _sums(row, turns["completion_tokens"], n),
        "image_tokens": _sums(row, turns["image_tokens"], n),
        "started_at": known([trajectory.started_at for trajectory in trajectories]),
        "total_s": known([trajectory.total_s for trajectory in trajectories]),
        "model_s": seconds("model_s"),
        "queue_s": seconds("queue_s"),
        "ttft_s": seconds("ttft_s"),
        "decode_s": seconds("decode_s"),
        "tool_s": seconds("tool_s"),
        "judge_s": known([outcome.ruling and outcome.ruling.seconds for outcome in outcomes]),
        "retries": _sums(row, turns["retries"], n).astype(np.int64),
        "images": np.array([len(sample.images) for sample in samples], dtype=np.int64),
        "tool_images": _sums(row, turns["tool_images"], n).astype(np.int64),
        "shown": shown,
        **{
            name: np.where(shown > 0, _sums(image_row, images[column], n), np.nan)
            for name, column in {"original_mp": "original_mp", "shown_mp": "shown_mp", "shown_tokens": "tokens"}.items()
        },
    }
    return pd.DataFrame({name: table[name] for name in columns.SAMPLES})


def _turns(turns: Sequence[Any], row: Ints, n: int) -> pd.DataFrame:
    usage = [turn.usage for turn in turns]
    timing = [turn.timing for turn in turns]
    starts = np.searchsorted(row, row)
    ends = np.append(row[1:] != row[:-1], True) if len(row) else np.zeros(0, dtype=bool)
    table = {
        "row": row,
        "turn": np.arange(len(row)) - starts,
        "last": ends,
        "finish_reason": _category([turn.finish_reason for turn in turns]),
        "calls": np.array([len(turn.calls) for turn in turns], dtype=np.int64),
        "acted": np.array([bool(turn.calls and turn.observations) for turn in turns], dtype=bool),
        "call_end": np.array([ends_with_call(turn) for turn in turns], dtype=bool),
        "tool_images": _images_seen(turns),
        "prompt_tokens": known([part.prompt_tokens for part in usage]),
        "completion_tokens": known([part.completion_tokens for part in usage]),
        "image_tokens": known([part.image_tokens for part in usage]),
        "model_s": known([part.generate_s for part in timing]),
        "queue_s": known([part.queue_s for part in timing]),
        "ttft_s": known([part.ttft_s for part in timing]),
        "decode_s": known([part.decode_s for part in timing]),
        "tool_s": known([part.tool_s for part in timing]),
        "retries": np.array([turn.retries for turn in turns], dtype=np.int64),
    }
    return pd.DataFrame(table)


def _calls(turns: Sequence[Any], frame: pd.DataFrame) -> pd.DataFrame:
    calls = [call for turn in turns for call in turn.calls]
    made = frame["calls"].to_numpy()
    turn = np.repeat(np.arange(len(made)), made)
    status = [_STATUSES[call.status] for call in calls]
    codes = np.array(status, dtype=np.int8)
    table = {
        "row": frame["row"].to_numpy()[turn],
        "turn": frame["turn"].to_numpy()[turn],
        "call": np.arange(len(turn)) - np.searchsorted(turn, turn),
        "tool": _category([call.tool for call in calls]),
        "status": _coded(codes, [str(kind) for kind in CallStatus]),
        "dispatched": _RAN[codes.astype(np.int64)],
        "acted": frame["acted"].to_numpy()[turn],
        "seconds": known([call.seconds for call in calls]),
        "message": _category([call.error for call in calls]),
    }
    return pd.DataFrame(table)


def _images(turns: Sequence[Any], row: Ints) -> pd.DataFrame:
    images = [image for turn in turns for image in turn.shown]
    table = {
        "row": np.repeat(row, np.array([len(turn.shown) for turn in turns], dtype=np.int64)),
        "original_mp": known([image.width for image in images]) * known([image.height for image in images]) / 1e6,
        "shown_mp": known([image.shown_width for image in images])
        * known([image.shown_height for image in images])
        / 1e6,
        "tokens": known([image.tokens for image in images]),
    }
    return pd.DataFrame(table)


def ends_with_call(turn: Turn | LightTurn) -> bool:
    """Whether a turn's text ends with a closing call tag; what the engine adds at the end does not count."""
    return turn.text[-TAIL:].rstrip().removesuffix("<|im_end|>").rstrip().endswith(CALL_TAGS)


def _images_seen(turns: Sequence[Any]) -> Ints:
    """Images in the observations of each turn."""
    seen = [len(observation.images) for turn in turns for observation in turn.observations]
    place = _places([len(turn.observations) for turn in turns])
    return np.bincount(place, weights=np.array(seen, dtype=np.float64), minlength=len(turns)).astype(np.int64)


def _first_tools(calls: pd.DataFrame, n: int) -> pd.Categorical:
    ran = calls["dispatched"].to_numpy()
    rows, first = np.unique(calls["row"].to_numpy()[ran], return_index=True)
    codes = np.full(n, -1, dtype=np.int64)
    tools = calls["tool"].cat
    codes[rows] = tools.codes.to_numpy()[ran][first]
    return pd.Categorical.from_codes(codes, tools.categories)


def _places(lengths: Sequence[int]) -> Ints:
    return np.repeat(np.arange(len(lengths), dtype=np.int64), np.array(lengths, dtype=np.int64))


def _sums(row: Ints, values: Any, n: int) -> Floats:
    """Sums per row; unknown as soon as one part is unknown."""
    return np.bincount(row, weights=values.to_numpy(dtype=np.float64), minlength=n).astype(np.float64)


def _constant(value: str, n: int) -> pd.Categorical:
    return _coded(np.zeros(n, dtype=np.int8), [value])


def _category(values: Sequence[str]) -> pd.Categorical:
    found = {value: code for code, value in enumerate(dict.fromkeys(values))}
    codes = np.array([found[value] for value in values], dtype=np.int64)
    return _coded(codes, list(found))


def _enum(values: Sequence[Any], kind: Any) -> pd.Categorical:
    places = {value: code for code, value in enumerate(kind)}
    codes = np.array([places[value] for value in values], dtype=np.int8)
    return _coded(codes, [str(value) for value in kind])


def _coded(codes: npt.NDArray[np.integer[Any]], names: Sequence[str]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, categories=pd.Index(list(names), dtype="str"))
