"""The arms a user asks for: read from the options, and refused before anything runs where they cannot be had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from evalkit.cli._console import Console, plain
from evalkit.errors import EvalkitError, ExitCode, unknown
from evalkit.records import AGENT, DIRECT, ISOLATED, Sample, calls_before_answer
from evalkit.runs.arms import CHOSEN, Arms, Job, schedule
from evalkit.runs.folder import RunInfo
from evalkit.runs.remote.address import shown
from evalkit.runs.store import Key
from evalkit.runs.stored_rows import stored_rows

_ANY = Sample(id="", question="")


def read_arms(
    *,
    names: str | None,
    counterfactual: bool,
    repeats: int,
    direct_k: int | None,
    direct_temperature: float | None,
    forced_answers: bool,
    again: int,
    isolated: int,
) -> Arms:
    """The arms of `evalkit run`'s options.

    Raises:
        EvalkitError: a name is no arm, or an option has nothing to act on.
    """
    wanted = {AGENT, *([DIRECT] if counterfactual else [])}
    for name in filter(None, map(str.strip, (names or "").split(","))):
        if name not in CHOSEN:
            raise unknown("arm", name, CHOSEN, "evalkit run --help")
        wanted.add(name)
    if DIRECT not in wanted and (direct_k is not None or direct_temperature is not None):
        option = "--direct-temperature" if direct_k is None else "--direct-k"
        raise EvalkitError(f"{option} does nothing without the direct arm: add --counterfactual")
    return Arms(
        names=tuple(name for name in CHOSEN if name in wanted),
        repeats=repeats,
        direct_k=direct_k or 1,
        direct_temperature=direct_temperature,
        forced_answers=forced_answers,
        again=again,
        isolated=isolated,
    )


def arm_problems(arms: Arms, temperature: float, replay: Path | None) -> Iterable[str]:
    """What is wrong with the arms under an agent's temperature, and with playing them back; a line each."""
    drawn = arms.temperature(temperature, repeat=1)
    if arms.direct_k > 1 and drawn == 0:
        yield (
            f"--direct-k {arms.direct_k}: at temperature 0 that is the same answer {arms.direct_k} times; "
            "add --direct-temperature, e.g. 0.7"
        )
    if replay is not None and (arms != Arms(again=arms.again)):
        yield from _not_recorded(arms, replay)


def _not_recorded(arms: Arms, replay: Path) -> Iterable[str]:
    there = {(arm, repeat) for _, arm, repeat in stored_rows(replay)}
    needed = [(job.arm, job.repeat) for job in schedule([_ANY], arms)] + [(ISOLATED, 0)] * bool(arms.isolated)
    missing = [f"{arm} (repeat {repeat})" if repeat else arm for arm, repeat in needed if (arm, repeat) not in there]
    if arms.forced_answers and all(calls_before_answer(arm) is None for arm, _ in there):
        missing.append("forced answers")
    if missing:
        yield f"--replay {replay}: that run has no {', no '.join(missing)} to play back"


def check_tools(arms: Arms, known: Sequence[str], offered: Collection[str], protocol: str) -> None:
    """Refuse arms that are about tools where the agent has none.

    Args:
        arms: what is asked.
        known: the tools that protocol and card know.
        offered: those of them that can be had.
        protocol: its name.

    Raises:
        EvalkitError: see above.
    """
    about = [name for name in arms.names if name != AGENT] + ["forced answers"] * arms.forced_answers
    if about and not offered:
        why = f"no provider for {', '.join(known)} is here" if known else f"protocol {protocol} has none for this model"
        raise EvalkitError(f"{', '.join(about)}: the agent has no tools to call or to take away ({why})")


def direct_prompt(
    arms: Arms, system_prompt: str | None, direct: str | None, native_tools: bool, *, own: bool = False
) -> str | None:
    """The direct arm's system prompt; None for the protocol's own, or with `own` the samples'.

    Raises:
        EvalkitError: the user's prompt may speak of tools, and nothing says what it is without them.
    """
    if DIRECT not in arms.names:
        if direct is not None:
            raise EvalkitError("--direct-system-prompt does nothing without the direct arm: add --counterfactual")
        return None
    if direct is None and (own or system_prompt is not None) and not native_tools:
        given = "that of --prompt-from-dataset" if own else "--system-prompt"
        raise EvalkitError(
            f"the direct arm takes the tools out of the prompt, and evalkit cannot do that to {given}: "
            "add --direct-system-prompt FILE, the same prompt without its tools"
        )
    return system_prompt if direct is None else direct


def check_earlier(folder: Path, info: RunInfo, arms: Arms, temperature: float, keys: Iterable[Key]) -> None:
    """Refuse to mix draws of different settings in one arm of a run folder.

    Raises:
        EvalkitError: the folder's direct arm has another prompt or temperature.
    """
    repeats = {repeat for _, arm, repeat in keys if arm == DIRECT}
    for earlier in (session.arms for session in info.sessions if DIRECT in session.arms.names):
        if DIRECT not in arms.names or not repeats:
            return
        if earlier.direct_system_prompt != arms.direct_system_prompt:
            raise EvalkitError(
                f"{shown(folder)} has a direct arm with another system prompt; take that one, or --fresh"
            )
        was, now = earlier.temperature(temperature, repeat=1), arms.temperature(temperature, repeat=1)
        if max(repeats) and min(earlier.direct_runs, arms.direct_runs) > 1 and was != now:
            raise EvalkitError(
                f"{shown(folder)} has direct answers drawn at temperature {was:g}, not {now:g}; "
                f"take --direct-temperature {was:g}, or --fresh"
            )


def say_arms(console: Console, folder: Path, jobs: Sequence[Job], allowed_errors: float) -> ExitCode:
    """Show what is missing of the arms beside the agent's first run, and what failed in them.

    Args:
        console: where to.
        folder: the run folder.
        jobs: all that the run should have.
        allowed_errors: share of an arm's rows above which it counts as failed.

    Returns:
        OK, or INFRASTRUCTURE where an arm is not whole.
    """
    expected = Counter(job.arm for job in jobs if (job.arm, job.repeat) != (AGENT, 0))
    if not expected:
        return ExitCode.OK
    done = stored_rows(folder)
    code = ExitCode.OK
    for arm, count in expected.items():
        rows = [done.get(job.key) for job in jobs if job.arm == arm and (arm, job.repeat) != (AGENT, 0)]
        there = [row for row in rows if row is not None]
        failed = Counter(row.error for row in there if row.verdict.is_error)
        name = "repeats of the agent" if arm == AGENT else f"arm {arm}"
        if len(there) < count:
            console.print(f"[red]{count - len(there)} of {count} rows of {name} are missing[/red]")
            code = ExitCode.INFRASTRUCTURE
        for text, times in failed.most_common(3):
            console.print(f"[red]{times} x[/red] {name}: {plain(text)}")
        if failed.total() > allowed_errors * len(there):
            console.print(f"[red]{failed.total()} of {count} rows of {name} failed[/red]")
            code = ExitCode.INFRASTRUCTURE
    return code
