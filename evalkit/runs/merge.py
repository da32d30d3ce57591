"""Shards of a run that belong together, and the `run.json` that they make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from evalkit.errors import EvalkitError, one_line
from evalkit.records import AGENT, DIRECT
from evalkit.runs.arms import CHOSEN, Arms
from evalkit.runs.folder import RunInfo, read_info
from evalkit.runs.lock import holder_of
from evalkit.runs.plan import differences
from evalkit.runs.remote.address import shown
from evalkit.runs.shard import Shard

_SHOWN = 8


class ShardRun(NamedTuple):
    """The run folder of one shard.

    Attributes:
        folder: where it is on this machine.
        info: its `run.json`.
        shard: which part it is.
    """

    folder: Path
    info: RunInfo
    shard: Shard

    @property
    def name(self) -> str:
        """Its folder as the user names it."""
        return str(shown(self.folder))

    def __str__(self) -> str:
        return f"{self.name} (shard {self.shard})"


def shards_of(folders: Sequence[Path]) -> list[ShardRun]:
    """The shards in these folders, in their order: all of one run, each once.

    Raises:
        DataError: one is not a run folder.
        EvalkitError: they are not the shards of one run, or not all of them; a line for each reason.
    """
    found, problems = [], []
    for folder in folders:
        info = read_info(folder)
        if info.shard is None:
            problems.append(
                f"{shown(folder)} is not a shard: {'it is merged' if info.merged else 'it has all rows'} already"
            )
        else:
            found.append(ShardRun(folder, info, info.shard))
    if not found:
        problems.append("there is nothing to merge: name the run folders of evalkit run --shard i/n")
    found.sort(key=lambda run: run.shard)
    problems += _other_settings(found)
    if not problems:
        problems += [*_other_shards(found), *_in_use(found), *_other_sides(found), *_other_draws(found)]
    if problems:
        raise EvalkitError("\n".join(problems))
    return found


def merged_info(shards: Sequence[ShardRun]) -> RunInfo:
    """The `run.json` of all shards together: that of an undivided run with all their sessions."""
    infos = [run.info for run in shards]
    versions = list(dict.fromkeys(info.evalkit for info in infos))
    sessions = sorted((session for info in infos for session in info.sessions), key=lambda session: session.started)
    if len(versions) > 1 and sessions:
        note = f"its shards were run by different versions of evalkit: {', '.join(versions)}"
        sessions[-1] = msgspec.structs.replace(sessions[-1], notes=[*sessions[-1].notes, note])
    return msgspec.structs.replace(
        infos[0],
        evalkit=versions[0],
        created=min(info.created for info in infos),
        sessions=sessions,
        prices=next((info.prices for info in infos if info.prices), None),
        calibration=next((info.calibration for info in infos if info.calibration), None),
        judge=_judge_facts([info.judge for info in infos if info.judge]),
        shard=None,
        merged=len(shards),
    )


def asked(infos: Iterable[RunInfo]) -> Arms:
    """All that the starts of these runs asked for together."""
    arms = [session.arms for info in infos for session in info.sessions] or [Arms()]
    named = {name for one in arms for name in one.names} | {AGENT}
    return msgspec.structs.replace(
        # prompt and temperature of the direct arm are those of the start that drew most
        max(arms, key=lambda one: one.direct_runs),
        names=tuple(name for name in CHOSEN if name in named),
        repeats=max(one.repeats for one in arms),
        forced_answers=any(one.forced_answers for one in arms),
        again=max(one.again for one in arms),
        isolated=max(one.isolated for one in arms),
    )


def _other_settings(shards: Sequence[ShardRun]) -> Iterator[str]:
    for run in shards[1:]:
        if run.info.config_hash != shards[0].info.config_hash:
            changed = "; ".join(differences(shards[0].info.config, run.info.config)) or "their digests"
            yield f"{run} is of another configuration than {shards[0].name}: {one_line(changed, 1000)}"
        elif run.shard.count != shards[0].shard.count:
            yield f"{run} is cut otherwise than {shards[0]}; merge shards of one n"


def _other_shards(shards: Sequence[ShardRun]) -> Iterator[str]:
    by_shard: dict[Shard, list[ShardRun]] = {}
    for run in shards:
        by_shard.setdefault(run.shard, []).append(run)
    for shard, runs in by_shard.items():
        if len(runs) > 1:
            yield f"shard {shard} is there {len(runs)} times: {', '.join(run.name for run in runs)}; name one"
    count = shards[0].shard.count
    missing = [str(index) for index in range(1, count + 1) if Shard(index, count) not in by_shard]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        yield f"of {count} shards {len(missing)} are not named: {', '.join(missing[:_SHOWN])}{more}"


def _in_use(shards: Sequence[ShardRun]) -> Iterator[str]:
    for run in shards:
        if holder := holder_of(run.folder):
            yield f"{run} is still being filled by {holder}"


def _other_sides(shards: Sequence[ShardRun]) -> Iterator[str]:
    """What stands in `run.json` beside the configuration and has to be one for all."""
    sides: dict[str, Callable[[RunInfo], Any]] = {
        "prices": lambda info: info.prices,
        "judge calibrations": lambda info: info.calibration,
    }
    for what, side in sides.items():
        given = [(run, value) for run in shards if (value := side(run.info)) is not None]
        for run, value in given[1:]:
            if value != given[0][1]:
                yield f"{run} and {given[0][0].name} have different {what}; run one again with those of the other"


def _other_draws(shards: Sequence[ShardRun]) -> Iterator[str]:
    """Direct arms that were asked in different ways, which no one run may hold."""
    own = (shards[0].info.config.get("sampling") or {}).get("temperature") or 0.0
    direct = [(run, arms) for run in shards if DIRECT in (arms := asked([run.info])).names]
    for run, arms in direct[1:]:
        first, other = direct[0]
        if arms.direct_system_prompt != other.direct_system_prompt:
            yield f"{run} has a direct arm with another system prompt than {first.name}"
        elif arms.temperature(own, 1) != other.temperature(own, 1) and min(arms.direct_runs, other.direct_runs) > 1:
            yield f"{run} has direct answers drawn at another temperature than {first.name}"


def _judge_facts(facts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How often the judge was asked by all shards; of its engine what the first one says."""
    counts: Counter[str] = Counter()
    for one in facts:
        counts.update({key: value for key, value in one.items() if type(value) is int})
    return {**(facts[0] if facts else {}), **counts}
