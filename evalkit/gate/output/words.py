"""The numbers and sentences of a gate, for every form of output; nothing here is escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from evalkit.analysis.figure import Figure
from evalkit.analysis.flips import RIGHT_TO_WRONG, WRONG_TO_RIGHT, Flip
from evalkit.errors import ExitCode, worst
from evalkit.gate.result import CheckResult, GateResult, Status

NONE = "not available"
DIRECTIONS = (RIGHT_TO_WRONG, WRONG_TO_RIGHT)
OUTCOMES = {
    ExitCode.OK: "PASS",
    ExitCode.REGRESSION: "FAIL",
    ExitCode.INFRASTRUCTURE: "ERROR",
    ExitCode.INCONCLUSIVE: "INCONCLUSIVE",
    ExitCode.NOTHING_EVALUATED: "NOTHING EVALUATED",
}
"""The whole gate in a word."""
_UNITS = {"seconds": " s"}
_COUNTED = {
    Status.FAIL: "failed",
    Status.ERROR: "ended in an error",
    Status.INCONCLUSIVE: "inconclusive",
    Status.PASS: "passed",
}


def exit_code_of(results: Sequence[GateResult]) -> ExitCode:
    """The code that speaks for all gates of a command."""
    return worst(result.exit_code for result in results)


def outcome_of(results: Sequence[GateResult]) -> str:
    """The whole in one line, e.g. "FAIL (exit code 1): 1 check failed, 2 passed"."""
    code = exit_code_of(results)
    counts = Counter(check.status for result in results for check in result.checks)
    total = counts.total()
    parts = [f"{counts[status]} {words}" for status, words in _COUNTED.items() if counts[status]]
    said = f"of {total} check{'s' * (total != 1)} {', '.join(parts)}" if parts else "no check was made"
    return f"{OUTCOMES.get(code, code.name)} (exit code {int(code)}): {said}"


def heading_of(result: GateResult) -> str:
    """What was held against what."""
    kind = {"archive": " (archived)", "published": " (published)"}.get(result.baseline_kind, "")
    new = _named(result.new, result.new_model)
    return f"{result.task}: {new} against {_named(result.baseline, result.baseline_model)}{kind}"


def _named(place: str, model: str) -> str:
    return place if model in ("", place) else f"{place}, {model}"


def what_of(check: CheckResult) -> str:
    """The rule as it was written, with the part of the task that it is about."""
    return f"{check.rule} [{check.category}]" if check.category else check.rule


def value_of(check: CheckResult, figure: Figure | None) -> str:
    """One run's figure: a share in percent, anything else with about three digits."""
    if figure is None:
        return ""
    if figure.value is None:
        return NONE
    if check.unit == "share":
        return f"{figure.value:.1%}"
    return f"{figure.value:.{_places(check)}f}{_UNITS.get(check.unit, '')}"


def difference_of(check: CheckResult) -> str:
    """New - baseline with its interval: a share in points, a ratio in percent."""
    figure = check.difference
    if figure is None:
        return ""
    if figure.value is None:
        return NONE
    unit = " %" if check.relative else " pt" if check.unit == "share" else _UNITS.get(check.unit, "")
    text = _signed(check, figure.value) + unit
    if figure.low is not None and figure.high is not None:
        text += f" ({_signed(check, figure.low)} to {_signed(check, figure.high)})"
    return text


def why_of(check: CheckResult) -> str:
    """What the status rests on."""
    return check.why or (check.difference.why if check.difference else "")


def all_default(result: GateResult) -> bool:
    """Whether nobody has given a rule."""
    return all(check.default for check in result.checks)


def confidence_of(result: GateResult) -> str:
    """E.g. "95 %"."""
    return f"{100 * result.confidence:.4g} %"


def tests_of(result: GateResult) -> str:
    """The p values of all tests; "" where nothing was tested."""
    tested = [check for check in result.checks if check.p_adjusted is not None]
    if not tested:
        return ""
    said = ", ".join(f"{what_of(check)} {p_of(check.p_adjusted)}" for check in tested)
    over = f", by Holm over {len(tested)} tests" if len(tested) > 1 else ""
    return f"p one-sided{over}: {said}"


def p_of(value: float | None) -> str:
    """A p value with three decimals."""
    if value is None:
        return ""
    return "<.001" if value < 0.001 else f"{value:.3f}"


def flips_of(result: GateResult) -> dict[str, list[Flip]]:
    """The samples whose verdict changed, by direction, those that got worse first."""
    return {direction: [f for f in result.flips if f.direction == direction] for direction in DIRECTIONS}


def flip_of(flip: Flip) -> str:
    """What both runs said of a sample."""
    old = _side(flip.old_answer, flip.old_verdict, flip.old_reason)
    new = _side(flip.new_answer, flip.new_verdict, flip.new_reason)
    return f"{old} -> {new}"


def _side(answer: str | None, verdict: str, reason: str) -> str:
    shown = "no answer" if answer is None else repr(answer if len(answer) <= 60 else f"{answer[:59]}…")
    words = [word for word in (verdict if verdict not in ("correct", "incorrect") else "", reason) if word]
    return f"{shown} ({', '.join(words)})" if words else shown


def _signed(check: CheckResult, value: float) -> str:
    text = f"{100 * value:+.1f}" if check.relative or check.unit == "share" else f"{value:+.{_places(check)}f}"
    # a zero has no sign
    return text[1:] if not text.strip("+-0.") else text


def _places(check: CheckResult) -> int:
    values = [abs(figure.value) for figure in (check.baseline, check.new) if figure and figure.value is not None]
    size = max(values, default=0.0)
    if size == 0:
        return 2
    return 0 if size >= 1000 else 1 if size >= 10 else 2 if size >= 1 else 3
