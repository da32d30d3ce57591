"""Recorded calls executed again: trajectories whose code fails, or whose observations nobody ever saw, go out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from evalkit.agents.hands import Hands
from evalkit.curation.dataset import image_bytes
from evalkit.curation.pixels import same_image
from evalkit.curation.source import Entry, Sifted, SourceRun
from evalkit.curation.texts import reads_clock, same_text
from evalkit.curation.tools import searches_of, tools_of
from evalkit.errors import DataError, SandboxError, one_line
from evalkit.records import CallStatus, Observation, ToolCall, Turn
from evalkit.runs.scheduler import Stop, in_flight
from evalkit.sandbox.base import Capabilities, Limits, Sandbox
from evalkit.tools import Tool, Toolbox

NAME = "replay"
EXPLAINED = (
    "Every call of a trajectory is executed again, in order, in one real session. A trajectory goes out where a call "
    "fails, where the recorded calls are not those of the text, or where a recorded observation is not the real one: "
    "then the model reasoned about something that its tool never said. Texts are compared word by word (addresses in "
    "memory count as equal, as times do where the code reads a clock; numbers with a fraction may differ by 1e-6 of "
    "their size; where a second execution differs from the first, what differs is free as far as the two differ). "
    "Images are compared pixel by pixel, where 8 of 255 levels are allowed, and files of a format with losses by the "
    "means of squares of pixels, where 6 are."
)
EXACT = "exact"
"""All texts and all bytes of images are those recorded."""
SAME = "same"
"""They are within the tolerances."""
_DIFFERENT = ("text_differs", "image_differs")
AT_ONCE = 2 * (os.cpu_count() or 1)
"""Sessions at a time."""
T = TypeVar("T")


class Played(NamedTuple):
    """What came of executing a trajectory's calls.

    Attributes:
        calls: by turn.
        observations: by turn.
    """

    calls: list[tuple[ToolCall, ...]]
    observations: list[tuple[Observation, ...]]


class Finding(NamedTuple):
    """What is wrong with a trajectory; see `replay` for the reasons."""

    reason: str
    detail: str = ""
    error: bool = False


async def replay(
    entries: Sequence[Entry],
    sandbox: Callable[[Limits], Sandbox],
    *,
    started: Callable[[Capabilities], None] = lambda can: None,
    done: Callable[[], None] = lambda: None,
) -> Sifted[Entry]:
    """Execute every call again and compare what comes back.

    Reasons: `code_fails`; `calls_differ` (the text has other calls than the record); `text_differs`; `image_differs`;
    `not_repeatable` (it differs, and so do two real executions, in words or images). Errors: `image_gone` (an image
    is not there, or no longer the recorded one); `not_recorded` (another program's recording without the images that
    a comparison needs); `tool_not_here`; `sandbox_error`.

    What was found goes into the entries: `replay` is `EXACT` or `SAME`, `executions` how often it ran.

    Args:
        entries: all of whose calls were run when they were recorded.
        sandbox: makes one with the limits that a run had; it is started and closed here.
        started: told how well each sandbox keeps code in.
        done: called after each trajectory.

    Raises:
        EvalkitError: no code can be run here.
    """
    runs = {id(entry.run): entry.run for entry in entries}
    findings: dict[int, Finding | None] = {}
    for run in runs.values():
        mine = [entry for entry in entries if entry.run is run]
        await _replay_run(run, mine, sandbox, findings, started, done)
    sifted = Sifted[Entry]([], [])
    for entry in entries:
        if finding := findings[id(entry)]:
            sifted.out.append(entry.fate(NAME, finding.reason, one_line(finding.detail), error=finding.error))
        else:
            sifted.kept.append(entry)
    return sifted


async def _replay_run(
    run: SourceRun,
    entries: Sequence[Entry],
    make: Callable[[Limits], Sandbox],
    findings: dict[int, Finding | None],
    started: Callable[[Capabilities], None],
    done: Callable[[], None],
) -> None:
    unsettled: list[tuple[Entry, Played]] = []

    async def first(entry: Entry, tools: Mapping[str, Tool]) -> None:
        found = await _settle(entry, tools, [])
        if isinstance(found, Played):
            unsettled.append((entry, found))
            return
        findings[id(entry)] = found
        done()

    async def second(trial: tuple[Entry, Played], tools: Mapping[str, Tool]) -> None:
        entry, before = trial
        found = await _settle(entry, tools, [before])
        assert not isinstance(found, Played)
        findings[id(entry)] = found
        done()

    await _with_tools(run, entries, first, make, started)
    if unsettled:
        # another interpreter too: what hangs on its hash seed is the same in every session of one
        await _with_tools(run, unsettled, second, make, started)


async def _with_tools(
    run: SourceRun,
    jobs: Sequence[T],
    work: Callable[[T, Mapping[str, Tool]], Awaitable[None]],
    make: Callable[[Limits], Sandbox],
    started: Callable[[Capabilities], None],
) -> None:
    """Do the work on every job, with the run's tools in a fresh sandbox."""
    box = make(msgspec.convert(run.info.config.get("sandbox", {}).get("limits", {}), Limits))
    searches = searches_of(run)
    try:
        started(await box.start())
        if searches is not None:
            await searches.start()
        tools = {name: run.protocol.equip(tool) for name, tool in tools_of(run, box, searches).items()}
        await in_flight(jobs, lambda job: work(job, tools), AT_ONCE, Stop())
    finally:
        if searches is not None:
            await searches.close()
        await box.close()


async def _settle(entry: Entry, tools: Mapping[str, Tool], before: Sequence[Played]) -> Finding | Played | None:
    """What is wrong with a trajectory; None where its recording is what really happens.

    An execution that differs is returned the first time: what two real ones do not agree on says nothing about the
    recording.
    """
    try:
        if not before:
            await asyncio.to_thread(_check_images, entry)
            if problem := _unplayable(entry, tools):
                return problem
        runs = [*before, await play(entry, tools)]
        entry.found["executions"] = len(runs)
        problem = _failure(entry, runs[-1]) or await asyncio.to_thread(_difference, entry, runs)
        if problem is None:
            entry.found["replay"] = EXACT if any(_exact(entry, run) for run in runs) else SAME
        again = problem is not None and problem.reason in _DIFFERENT and not before
    except DataError as error:
        return Finding("image_gone", str(error), error=True)
    except SandboxError as error:
        return Finding("sandbox_error", str(error), error=True)
    return runs[0] if again else problem


def _check_images(entry: Entry) -> None:
    record = entry.record
    shown = [image for turn in record.trajectory.turns for seen in turn.observations for image in seen.images]
    for image in (*record.sample.images, *shown):
        image_bytes(image, entry.id)


def _unplayable(entry: Entry, tools: Mapping[str, Tool]) -> Finding | None:
    """Why there is nothing to execute or to compare with."""
    record, run = entry.record, entry.run
    aliases = run.protocol.aliases
    for call in record.trajectory.calls:
        if aliases.get(call.tool, call.tool) not in tools:
            return Finding("tool_not_here", f"{call.tool} cannot be run again here", error=True)
    if run.imported and not record.sample.images:
        return Finding("not_recorded", "the recording has no image to run its calls on", error=True)
    for turn in record.trajectory.turns:
        read = [(call.tool, call.arguments) for call in run.protocol.parse(turn.text).calls]
        if turn.calls and read != [(call.tool, call.arguments) for call in turn.calls]:
            return Finding("calls_differ", "the text of a turn has other calls than its record")
        if turn.calls and len(turn.observations) != len(turn.calls):
            return Finding("calls_differ", "a turn has more calls than observations, or fewer")
    return None


async def play(entry: Entry, tools: Mapping[str, Tool]) -> Played:
    """Execute a trajectory's calls again, in order, in sessions of its own, as the agent loop does.

    Raises:
        DataError: an image of the sample cannot be read.
        SandboxError: the sandbox itself failed.
    """
    run, record = entry.run, entry.record
    protocol = run.protocol
    toolbox = Toolbox(tuple(tools.values()), record.sample, protocol.names, protocol.aliases)
    hands = Hands(toolbox, tuple(tools), protocol, run.limits, len(record.sample.images))
    played = Played([], [])
    try:
        for turn in record.trajectory.turns:
            if not turn.calls:
                continue
            made = await hands.act(protocol.parse(turn.text), Turn(text=turn.text))
            played.calls.append(made.calls)
            played.observations.append(made.observations)
    finally:
        await hands.empty()
    return played


def _failure(entry: Entry, played: Played) -> Finding | None:
    recorded = entry.record.trajectory.calls
    made = [call for calls in played.calls for call in calls]
    for was, call in zip(recorded, made, strict=True):
        if call.status is not CallStatus.OK:
            before = "as recorded" if was.status is call.status else f"recorded as {was.status.value}"
            return Finding("code_fails", f"{call.tool}: {call.status.value} ({before}): {call.error}")
    return None


def _difference(entry: Entry, runs: Sequence[Played]) -> Finding | None:
    """Where the recording differs from every execution."""
    clock = any(reads_clock(str(call.arguments.get("code", ""))) for call in entry.record.trajectory.calls)
    recorded = [turn.observations for turn in entry.record.trajectory.turns if turn.calls]
    places = [(turn, index) for turn, seen in enumerate(recorded) for index in range(len(seen))]
    for number, (turn, index) in enumerate(places, 1):
        was = recorded[turn][index]
        real = [run.observations[turn][index] for run in runs]
        if not same_text(was.text, [seen.text for seen in real], clock=clock):
            repeats = all(same_text(real[0].text, [seen.text], clock=clock) for seen in real)
            shown = f"call {number}: recorded {one_line(was.text, 60)!r}, really {one_line(real[0].text, 60)!r}"
            return Finding("text_differs" if repeats else "not_repeatable", shown)
        if not any(_same_images(was, seen) for seen in real):
            if entry.run.imported and not was.images:
                return Finding("not_recorded", f"call {number}: the recording keeps no images", error=True)
            repeats = all(_same_images(real[0], seen) for seen in real)
            shown = f"call {number}: {_sizes(was)} recorded, {_sizes(real[0])} really"
            return Finding("image_differs" if repeats else "not_repeatable", shown)
    return None


def _same_images(a: Observation, b: Observation) -> bool:
    return len(a.images) == len(b.images) and all(map(same_image, a.images, b.images))


def _sizes(seen: Observation) -> str:
    return ", ".join(f"{image.header.width}x{image.header.height}" for image in seen.images) or "no image"


def _exact(entry: Entry, played: Played) -> bool:
    recorded = [turn.observations for turn in entry.record.trajectory.turns if turn.calls]
    return [_bytes(turn) for turn in recorded] == [_bytes(turn) for turn in played.observations]


def _bytes(observations: Sequence[Observation]) -> list[Any]:
    return [(seen.text, [image.header.sha256 for image in seen.images]) for seen in observations]
