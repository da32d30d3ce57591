"""One sample's trajectory, turn by turn."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from evalkit.analysis.transitions import verdict_name
from evalkit.cli._console import Console, plain
from evalkit.cli._show_rows import ALL
from evalkit.cli._show_text import LONGEST, block, code_block
from evalkit.errors import DataError, unknown
from evalkit.images import ImageFile
from evalkit.records import AGENT, Observation, Outcome, Record, Rule, Sample, Shown, Timing, ToolCall, Turn, Usage
from evalkit.runs.folder import RunInfo, read_info
from evalkit.runs.store import Key, read_records


def show_sample(console: Console, run: Path, id: str, arm: str | None, *, full: bool = False) -> None:
    """Print a sample's trajectories of one arm, and say which others there are.

    Args:
        console: where they go.
        run: the run folder.
        id: the sample's.
        arm: its name, or "all"; None for the agent's first trajectory, or the first one that there is.
        full: do not cut long texts.

    Raises:
        DataError: it is no run folder, a line is corrupt, or no trajectory is finished.
        EvalkitError: no such sample or arm; the nearest are named.
    """
    info = read_info(run)
    mine: dict[Key, Record] = {}
    ids = set()
    for record in read_records(run):
        ids.add(record.sample.id)
        if record.sample.id == id:
            mine[record.key] = record
    if not ids:
        raise DataError(f"{run} has no finished trajectory yet")
    if not mine:
        raise unknown("sample", id, ids, f"evalkit show {run} --limit 0")
    records = sorted(mine.values(), key=lambda record: (record.arm != AGENT, record.arm, record.repeat))
    arms = {record.arm for record in records}
    if arm is not None and arm not in (ALL, *arms):
        raise unknown("arm of this sample", arm, {*arms, ALL}, f"evalkit show {run} {id} --arm all")
    chosen = records[:1] if arm is None else [record for record in records if arm in (ALL, record.arm)]
    limit = None if full else LONGEST
    _sample(console, run, info, chosen[0].sample, limit)
    for record in chosen:
        _trajectory(console, record, limit)
    if others := [record for record in records if record not in chosen]:
        console.print()
        console.print(_others(others))
        console.print(f"--arm {ALL} shows them, --arm NAME those of one arm")


def _sample(console: Console, run: Path, info: RunInfo, sample: Sample, limit: int | None) -> None:
    model, task = (plain(info.config.get(part, {}).get("name"), 60) for part in ("model", "task"))
    console.print(f"[bold]{plain(sample.id, 200)}[/bold] of {task}, asked of {model} ({plain(run)})", soft_wrap=True)
    for name, value in (("category", sample.category), ("cluster", sample.cluster)):
        if value:
            console.print(f"  {name}: {plain(value, 120)}", soft_wrap=True)
    for image in sample.images:
        console.print(f"  image: {_image(image)}", soft_wrap=True)
    if not sample.images:
        console.print("  no image is recorded")
    console.print("  question:")
    console.print(block(sample.question, limit))
    console.print(f"  right answer: {plain(repr(sample.answer), 200)}", soft_wrap=True)


def _trajectory(console: Console, record: Record, limit: int | None) -> None:
    trajectory = record.trajectory
    console.print()
    console.rule(f"{plain(record.arm, 60)}, repeat {record.repeat}", align="left")
    if trajectory.partial:
        console.print("only the last response is known: nothing can be said of turns, calls and times before it")
    if trajectory.prompt and trajectory.prompt.strip() != record.sample.question.strip():
        console.print("[bold]prompt[/bold] as sent")
        console.print(block(trajectory.prompt, limit))
    for number, turn in enumerate(trajectory.turns, 1):
        if trajectory.fallback and number == len(trajectory.turns) and not turn.discarded:
            console.print("[bold]every try had failed[/bold]: asked without tools")
            console.print(block(trajectory.fallback, limit))
        _turn(console, number, turn, limit)
    if not trajectory.turns:
        console.print("no turn")
    total = "time not measured" if trajectory.total_s is None else f"{trajectory.total_s:.2f} s"
    stop = f"[bold]end[/bold]: {plain(str(trajectory.stop))}, {total}, {_tokens(trajectory.usage) or 'tokens unknown'}"
    stop += f", begun anew {trajectory.restarts} times" if trajectory.restarts else ""
    console.print(stop + (f", {plain(trajectory.error)}" if trajectory.error else ""), soft_wrap=True)
    if trajectory.final:
        console.print("  scored, in place of the whole text:")
        console.print(block(trajectory.final, limit, 6))
    _outcome(console, record.outcome)


def _turn(console: Console, number: int, turn: Turn, limit: int | None) -> None:
    facts = [_tokens(turn.usage) or "tokens unknown", _times(turn.timing, bool(turn.calls))]
    if turn.finish_reason:
        facts.append(f"finish {plain(turn.finish_reason, 40)}")
    if turn.retries:
        facts.append(f"{turn.retries} retries")
    if turn.temperature is not None:
        facts.append(f"drawn at temperature {turn.temperature:g}")
    if turn.discarded:
        facts.append(f"[yellow]taken out: {plain(turn.discarded, 120)}[/yellow]")
    console.print(f"[bold]turn {number}[/bold]: {'; '.join(facts)}", soft_wrap=True)
    for shown in turn.shown:
        console.print(f"  sees {_shown(shown)}", soft_wrap=True)
    console.print(block(turn.text, limit))
    for place, call in enumerate(turn.calls):
        _call(console, call, limit)
        if place < len(turn.observations):
            _observation(console, turn.observations[place], limit)
    for observation in turn.observations[len(turn.calls) :]:
        _observation(console, observation, limit)


def _call(console: Console, call: ToolCall, limit: int | None) -> None:
    time = "time not measured" if call.seconds is None else f"{call.seconds:.2f} s"
    name = plain(call.tool, 60) or "no name"
    error = f", {plain(call.error, 200)}" if call.error else ""
    ran = f", {time}" if call.status.dispatched else ""
    console.print(f"  [bold]call[/bold] {name}: {plain(str(call.status))}{ran}{error}", soft_wrap=True)
    code = call.arguments.get("code")
    if isinstance(code, str):
        console.print(code_block(code, limit))
    for key, value in call.arguments.items():
        if key != "code" or not isinstance(value, str):
            console.print(f"      {plain(key, 60)} = {plain(repr(value), 400)}", soft_wrap=True)
    if not call.arguments:
        console.print(block(call.raw, limit, 6))


def _observation(console: Console, observation: Observation, limit: int | None) -> None:
    console.print("  [bold]observation[/bold]")
    if observation.text:
        console.print(block(observation.text, limit, 6))
    for image in observation.images:
        console.print(f"      image: {_image(image)}", soft_wrap=True)
    if not observation.text and not observation.images:
        console.print("      (empty)")


def _outcome(console: Console, outcome: Outcome) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("by", "verdict", "answer", "how it was read"):
        table.add_column(heading, overflow="fold")
    why = outcome.error or outcome.reason
    scorer = f", {outcome.scorer}" if outcome.scorer else ""
    table.add_row(plain(f"strict rule{scorer}"), plain(str(outcome.verdict)), _answer(outcome.answer), plain(why, 300))
    if outcome.official is not None or outcome.official_answer is not None:
        verdict = plain(verdict_name(outcome, Rule.OFFICIAL))
        table.add_row("official rule", verdict, _answer(outcome.official_answer), "")
    if (ruling := outcome.ruling) is not None:
        how = ruling.error or (f"from {ruling.quote!r}" if ruling.quote else "")
        table.add_row(f"judge, {plain(ruling.asked)}", plain(ruling.said), _answer(ruling.answer), plain(how, 300))
    if outcome.recorded is not None:
        table.add_row("the recording", "correct" if outcome.recorded else "incorrect", "", "")
    console.print(table)


def _others(records: list[Record]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, title="Its other trajectories", title_justify="left")
    for heading in ("arm", "repeat", "verdict", "answer", "calls", "seconds"):
        table.add_column(heading, overflow="fold")
    for record in records:
        seconds, calls = record.trajectory.total_s, sum(call.status.dispatched for call in record.trajectory.calls)
        table.add_row(
            plain(record.arm, 60),
            str(record.repeat),
            plain(str(record.outcome.verdict)),
            _answer(record.outcome.answer),
            "unknown" if record.trajectory.partial else str(calls),
            "unknown" if seconds is None else f"{seconds:.2f}",
        )
    return table


def _answer(answer: str | None) -> str:
    return "none" if answer is None else plain(repr(answer), 200)


def _image(image: ImageFile) -> str:
    """Where it lies and how large it is."""
    header = image.known
    size = f"{header.width} x {header.height}, {header.size:,} bytes" if header else "size unknown"
    gone = "" if image.path is None or image.path.is_file() else ", MISSING"
    return f"{plain(image.name, 400)} ({size}{gone})"


def _shown(shown: Shown) -> str:
    """An image as it came before the model."""
    text = f"image from {plain(shown.origin, 60)}, {shown.width} x {shown.height}"
    if shown.source:
        text += f", cut from {plain(shown.source, 60)}"
    if shown.box is not None:
        text += f" at ({', '.join(f'{edge:g}' for edge in shown.box)})"
    if shown.shown_width is None or shown.shown_height is None:
        return f"{text}; what the model gets of it is unknown"
    tokens = "" if shown.tokens is None else f", {shown.tokens} tokens"
    computed = " (computed)" if shown.computed else ""
    return f"{text}; the model gets {shown.shown_width} x {shown.shown_height}{tokens}{computed}"


def _tokens(usage: Usage) -> str:
    parts = [(usage.prompt_tokens, "in"), (usage.completion_tokens, "out"), (usage.image_tokens, "of images")]
    known = [f"{count} {name}" for count, name in parts if count is not None]
    return f"tokens {', '.join(known)}" if known else ""


def _times(timing: Timing, called: bool) -> str:
    parts = {
        "queue": timing.queue_s,
        "first token": timing.ttft_s,
        "decode": timing.decode_s,
        "request": timing.generate_s,
        "tools": timing.tool_s if called else None,
    }
    known = [f"{name} {value:.2f} s" for name, value in parts.items() if value is not None]
    return ", ".join(known) or "times not measured"
