"""What a report shows of one benchmark: measured runs beside published figures, as plain data."""

from __future__ import annotations

import msgspec

from evalkit.analysis.budget import BudgetCurve
from evalkit.analysis.config_diff import ConfigDifference
from evalkit.analysis.counterfactual import Arbitration
from evalkit.analysis.figure import Figure
from evalkit.analysis.judged import Judged
from evalkit.analysis.need import Corrected
from evalkit.analysis.pareto import Front
from evalkit.baselines import Published
from evalkit.records import Rule
from evalkit.task import Metric

SCHEMA = 1
"""Raised when a field of the report's JSON changes its meaning."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader must know before trusting a run's figures.

    Attributes:
        kind: "errors", "isolation", "unfinished", "imported", "tools", "other".
        text: one line.
        serious: whether the figures should not be relied on: shown in red.
    """

    kind: str
    text: str
    serious: bool = False


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One measured run on one benchmark; every figure is of the agent's first try unless it says otherwise.

    Attributes:
        run: its name in this report; no two runs have the same.
        folder: as the user names it.
        model: as the run names it.
        task: the benchmark.
        engine: what answered: an engine, "imported" or "predictions".
        created: UTC, ISO 8601.
        live: whether the run is still going on or was cut off: fewer rows than expected are done.
        done: rows with a record.
        expected: rows of the benchmark as configured.
        accuracy: right rows of the scored ones.
        accuracy_expected: right rows of all expected ones.
        other_rule: accuracy under the other rule; None where the benchmark has no second one.
        judged: what rests on a judge's word; None where nothing does.
        tool_rate: rows with at least one call that ran.
        tool_rate_ok: rows with at least one call that succeeded.
        calls: calls that ran, per row.
        redundant: redundant of called pairs, as counted and corrected for chance; None without counterfactual arms.
        efficiency: HDPO's 1/(T+1) over right rows.
        p50: seconds per sample as run (loaded).
        p95: seconds per sample as run (loaded).
        isolated_p50: seconds per sample run one at a time; no value where that was not done.
        isolated_p95: see `isolated_p50`.
        tokens_in: prompt tokens per row, over all turns.
        tokens_out: generated tokens per row.
        tokens_image: image tokens per row.
        cost: per row, in the currency of the run's prices; None where none are given.
        outcomes: rows by verdict.
        errors: the commonest error texts with their counts.
        categories: accuracy of the scored rows per category.
        category_tool_rates: tool rate per category.
        call_counts: rows by number of calls that ran.
        latency_parts: mean seconds per sample of "model", "tool", "queue", "judge"; None where nobody measured it.
        need: with tools against without; None without counterfactual arms.
        need_notes: how that is corrected, what is left out and why.
        budgets: accuracy against calls, tokens and seconds.
        own: the benchmark's own figures.
        own_why: why there are none, where the benchmark cannot be asked.
        marks: what a reader must know.
    """

    run: str
    folder: str
    model: str
    task: str
    engine: str
    created: str
    live: bool
    done: int
    expected: int
    accuracy: Figure
    accuracy_expected: Figure
    other_rule: Figure | None = None
    judged: Judged | None = None
    tool_rate: Figure = Figure()
    tool_rate_ok: Figure = Figure()
    calls: Figure = Figure()
    redundant: Corrected | None = None
    efficiency: Figure = Figure()
    p50: Figure = Figure()
    p95: Figure = Figure()
    isolated_p50: Figure = Figure()
    isolated_p95: Figure = Figure()
    tokens_in: Figure = Figure()
    tokens_out: Figure = Figure()
    tokens_image: Figure = Figure()
    cost: Figure | None = None
    outcomes: dict[str, int] = {}
    errors: dict[str, int] = {}
    categories: dict[str, Figure] = {}
    category_tool_rates: dict[str, Figure] = {}
    call_counts: dict[int, int] = {}
    latency_parts: dict[str, float | None] = {}
    need: Arbitration | None = None
    need_notes: tuple[str, ...] = ()
    budgets: tuple[BudgetCurve, ...] = ()
    own: tuple[Metric, ...] = ()
    own_why: str = ""
    marks: tuple[Mark, ...] = ()


class Headline(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence of what a board says, for readers who read nothing else.

    Attributes:
        kind: "best" (who is most accurate), "tools" (who wastes its tools, or that nobody measured it), "caution".
        text: the sentence, with its figures and whether they can be told apart from the next.
        runs: whom it is about.
    """

    kind: str
    text: str
    runs: tuple[str, ...] = ()


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """One benchmark.

    Attributes:
        task: its name.
        title: for people, e.g. "V*Bench"; the name where the benchmark could not be opened.
        rule: whose verdicts the figures rest on.
        entries: measured runs, the most accurate first; those without accuracy last.
        published: what others publish for it; means without a per-sample record.
        config: settings that matter and in which the measured runs differ, what was asked first; values are in the
            order of `entries`.
        config_rest: the other settings in which they differ: who was asked, machine, versions.
        fronts: the runs that no other beats, see `fronts.fronts_of`.
        headlines: what it says in a few sentences.
    """

    task: str
    title: str
    rule: Rule
    entries: tuple[Entry, ...]
    published: tuple[Published, ...] = ()
    config: tuple[ConfigDifference, ...] = ()
    config_rest: tuple[ConfigDifference, ...] = ()
    fronts: tuple[Front, ...] = ()
    headlines: tuple[Headline, ...] = ()


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that is not in the report, and why."""

    folder: str
    why: str


class Boards(msgspec.Struct, frozen=True, kw_only=True):
    """All that a report shows of figures; its JSON form is this struct's.

    Attributes:
        schema: see `SCHEMA`.
        evalkit: version that made it.
        made: UTC, ISO 8601.
        boards: one per benchmark, in the order of first appearance.
        unreadable: folders that are left out.
    """

    schema: int
    evalkit: str
    made: str
    boards: tuple[Board, ...]
    unreadable: tuple[Unreadable, ...] = ()
