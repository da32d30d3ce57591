"""`evalkit gate`: did a change make the agent worse?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli._remote import run_or_name, run_without_images
from evalkit.gate.metrics import METRICS
from evalkit.records import Rule

_NAMES = f"""Metrics: {", ".join(METRICS)}.

Kinds: noninferior, max, min. Limits: 1pt, +5pt, +20%, 5%, 30s, 0.8; with a sign, from the baseline.

Keys of --allow-different: task, version, questions, scorers, judge, options, prompt, images."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("gate", epilog=_NAMES)(gate)


def gate(
    baseline: Annotated[
        str,
        typer.Option(
            "--baseline",
            "-b",
            parser=run_or_name,
            metavar="RUN|FILE|published:MODEL",
            help="Run folder, file of `evalkit baseline save`, or published:MODEL.",
        ),
    ],
    new: Annotated[
        Path | None,
        typer.Argument(parser=run_without_images, help="Run folder of the changed agent."),
    ] = None,
    fail: Annotated[
        list[str] | None,
        typer.Option(
            "--fail",
            metavar="RULE",
            help="metric:kind:limit (repeatable), e.g. accuracy:noninferior:1pt or latency_p95:max:+20%.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="evalkit.toml, or a pyproject.toml with the table.")
    ] = None,
    allow_different: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-different",
            metavar="KEY",
            help="Compare although the two differ in it (repeatable); it is recorded.",
        ),
    ] = None,
    rule: Annotated[Rule, typer.Option(help="Whose verdicts count.")] = Rule.STRICT,
    confidence: Annotated[float, typer.Option(help="Of all checks together, that no change fails.")] = 0.95,
    explain: Annotated[
        bool, typer.Option("--explain", help="Do not decide: say what this baseline and this many samples can show.")
    ] = False,
    samples: Annotated[
        int | None,
        typer.Option("--samples", "-n", min=1, help="How many, for --explain (default: those of the runs)."),
    ] = None,
    junit: Annotated[
        str | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML; - for the terminal.")
    ] = None,
    md: Annotated[
        str | None,
        typer.Option("--md", metavar="FILE", help="Write Markdown, e.g. to $GITHUB_STEP_SUMMARY; - for the terminal."),
    ] = None,
    json: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write everything as JSON; - for the terminal.")
    ] = None,
) -> None:
    """Hold a run against a baseline, sample by sample; the exit code is the answer.

    0 not worse, 1 worse, 2 cannot be asked or compared so, 3 too many errors to say, 4 too few samples to tell,
    5 nothing was evaluated.

    Without a rule: accuracy not worse by 1 point, tool rate not up by 5 points, errors under 1 %.
    """
    from evalkit.cli._gate import Targets, errors_annotated, rules_asked, show_gates
    from evalkit.cli._gate_power import show_power
    from evalkit.errors import EvalkitError
    from evalkit.gate.gate import run_gate
    from evalkit.gate.output import exit_code_of

    with errors_annotated():
        targets = Targets({"junit": junit, "md": md, "json": json})
        rules = rules_asked(fail or (), config)
        if explain:
            show_power(baseline, rules, targets, samples=samples, new=new, rule=rule, confidence=confidence)
            return
        if new is None:
            raise EvalkitError("evalkit gate holds a run against the baseline: name its folder")
        if samples is not None:
            raise EvalkitError("--samples does nothing without --explain: a gate takes all samples of the two runs")
        result = run_gate(new, baseline, rules, rule=rule, allow_different=allow_different or (), confidence=confidence)
        show_gates([result], targets)
    if code := exit_code_of([result]):
        raise typer.Exit(int(code))
