"""The rules of a gate: `metric:kind:limit`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

from evalkit.errors import EvalkitError, one_line, unknown
from evalkit.gate.metrics import METRICS, Metric, Unit

DEFAULTS = ("accuracy:noninferior:1pt", "tool_rate:max:+5pt", "errors:max:1%")
"""What a gate looks at when nobody says otherwise."""
GRAMMAR = "a rule is metric:kind:limit, e.g. accuracy:noninferior:1pt, tool_rate:max:+5pt or errors:max:1%"

_LIMIT = re.compile(r"([+-]?)(\d{1,12}(?:\.\d{1,9})?|\.\d{1,9})(pt|%|s)?", re.ASCII)
_LIST = "evalkit gate --help"


class Kind(StrEnum):
    """What a rule asks for."""

    NONINFERIOR = "noninferior"
    """Not worse than the baseline by more than a margin."""
    MAX = "max"
    """At most; with a sign, at most so far from the baseline."""
    MIN = "min"
    """At least; with a sign, at least so far from the baseline."""


class GateRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule.

    Attributes:
        text: as written.
        metric: a name in `evalkit.gate.metrics.METRICS`.
        kind: see `Kind`.
        limit: in the metric's own unit (0.05 for five points or for 5 %), or as a share of the baseline's value.
        against: whether the limit is for the distance from the baseline and not for the new run's value.
        relative: whether that distance is measured in shares of the baseline's value.
        task: the benchmark it is for; "" for any.
        category: the part of the benchmark; "" for the whole.
        default: whether it is one of evalkit's own.
    """

    text: str
    metric: str
    kind: Kind
    limit: float
    against: bool
    relative: bool = False
    task: str = ""
    category: str = ""
    default: bool = False

    @property
    def about(self) -> Metric:
        """The metric."""
        return METRICS[self.metric]


def parse_rule(text: str, *, task: str = "", category: str = "") -> GateRule:
    """A rule as it is written on the command line or in a configuration.

    The limit's unit is `pt` (points of a share), `%`, `s` (seconds) or none (the metric's own unit; shares are 0 to
    1). With a sign, `max` and `min` bound the distance from the baseline: `+5pt` in points, `+20%` in percent of the
    baseline's value. A margin of `noninferior` has no sign; in `%` it is of the baseline's value.

    Args:
        text: e.g. "accuracy:noninferior:1pt".
        task: the benchmark it is for; "" for any.
        category: the part of the benchmark; "" for the whole.

    Raises:
        EvalkitError: it is not in that form, or names no metric, kind or unit that there is.
    """
    parts = [part.strip() for part in text.split(":")]
    if len(parts) != 3:
        raise EvalkitError(f"rule {_shown(text)}: {GRAMMAR}")
    name, kind_name, limit = parts
    if name not in METRICS:
        raise unknown("metric", name, METRICS, _LIST)
    if kind_name not in set(Kind):
        raise unknown("kind of rule", kind_name, list(Kind), _LIST)
    kind = Kind(kind_name)
    found = _LIMIT.fullmatch(limit)
    if found is None:
        raise EvalkitError(
            f"rule {_shown(text)}: the limit {_shown(limit)} is no number with a unit, as 1pt, +5pt, +20%, 30s or 0.8"
        )
    sign, number, unit = found[1], Decimal(found[2]), found[3] or ""
    if why := _misfit(METRICS[name], kind, sign, unit, number):
        raise EvalkitError(f"rule {_shown(text)}: {why}")
    value = number / 100 if unit in ("pt", "%") else number
    against = bool(sign) or kind is Kind.NONINFERIOR
    return GateRule(
        text=":".join(parts),
        metric=name,
        kind=kind,
        limit=float(-value if sign == "-" else value),
        against=against,
        relative=against and unit == "%",
        task=task,
        category=category,
    )


def default_rules() -> tuple[GateRule, ...]:
    """Evalkit's own rules, see `DEFAULTS`."""
    return tuple(msgspec.structs.replace(parse_rule(text), default=True) for text in DEFAULTS)


def rules_for(rules: Iterable[GateRule], task: str) -> tuple[GateRule, ...]:
    """The rules that hold for a benchmark, each once, in order; errors are looked at even where no rule says so.

    A rule for the benchmark stands in for one for any benchmark with the same metric, kind and category.

    Raises:
        EvalkitError: none holds for it, or two of them contradict each other.
    """
    given = list(dict.fromkeys(rules))
    mine = [rule for rule in given if rule.task in ("", task)]
    if not mine:
        others = ", ".join(sorted({one_line(rule.task, 60) for rule in given})) or "none"
        raise EvalkitError(f"no rule is for task {one_line(task, 60)} (there are rules for: {others})")
    check_rules(mine)
    own = {_slot(rule) for rule in mine if rule.task}
    kept = [rule for rule in mine if rule.task or _slot(rule) not in own]
    # within one benchmark the scope is the same, whichever part of the configuration it came from
    check_rules([msgspec.structs.replace(rule, task=task) for rule in kept])
    if not any(rule.metric == "errors" and not rule.category for rule in kept):
        kept += [rule for rule in default_rules() if rule.metric == "errors"]
    return tuple(kept)


def check_rules(rules: Sequence[GateRule]) -> None:
    """Refuse rules that cannot be meant together.

    Raises:
        EvalkitError: two limits of one kind for the same figure, or a least value above the greatest.
    """
    found: dict[tuple[object, ...], GateRule] = {}
    for rule in rules:
        other = found.setdefault((rule.task, *_slot(rule)), rule)
        if (other.limit, other.relative) != (rule.limit, rule.relative):
            raise EvalkitError(f"rules {other.text} and {rule.text}{_scope(rule)} contradict each other: keep one")
    for key, low in found.items():
        high = found.get((*key[:2], Kind.MAX, *key[3:]))
        if low.kind is Kind.MIN and high is not None and low.relative == high.relative and low.limit > high.limit:
            raise EvalkitError(
                f"rules {low.text} and {high.text}{_scope(low)} contradict each other: "
                "no value is at least the one and at most the other"
            )


def _slot(rule: GateRule) -> tuple[object, ...]:
    """What a rule fixes: a second one for it is another limit for the same."""
    return (rule.metric, rule.kind, rule.category, rule.against)


def _scope(rule: GateRule) -> str:
    named = [
        f"{word} {one_line(name, 60)}" for word, name in (("task", rule.task), ("category", rule.category)) if name
    ]
    return f" ({', '.join(named)})" if named else ""


def _misfit(metric: Metric, kind: Kind, sign: str, unit: str, number: Decimal) -> str:
    """Why a limit does not fit its metric and kind; "" where it does."""
    name, share = metric.name, metric.unit is Unit.SHARE
    if unit == "pt" and not share:
        return f"{name} is no share, so it has no points; write +20% of the baseline's, or a plain number"
    if unit == "s" and metric.unit is not Unit.SECONDS:
        return f"{name} is not measured in seconds"
    if kind is Kind.NONINFERIOR:
        if not metric.better:
            return f"neither more nor less of {name} is better; write max or min"
        if sign:
            return "a margin has no sign"
        if not number:
            return "a margin of 0 can never be shown; write the loss that would matter, e.g. 1pt"
        if unit == "%" and share:
            return f"{name} is a share: write {number}pt for points of it"
    elif unit == "pt" and not sign:
        return f"write +{number}pt for points above the baseline, or {number}% for a value"
    elif unit == "%" and not sign and not share:
        return f"{name} is no share: write +{number}% for percent above the baseline's"
    if name == "errors" and (sign or kind is not Kind.MAX):
        return "errors are counted in the new run alone: write errors:max:1%"
    value = number / 100 if unit in ("pt", "%") else number
    if share and not (sign and unit == "%") and value >= 1 and (kind is Kind.NONINFERIOR or value > 1):
        return f"{name} is a share of at most 100 %; write points as 1pt and shares as 5% or 0.05"
    if sign == "-" and unit == "%" and value >= 1:
        return "a value cannot fall by 100 % or more"
    return ""


def _shown(text: str) -> str:
    return repr(one_line(text, 80))
