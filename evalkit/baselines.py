"""Published figures of other models: means without a per-sample record, each with its source."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from evalkit.content import content_dir
from evalkit.errors import EvalkitError, one_line
from evalkit.yaml_text import parse_yaml


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a figure was read: what, in which repository or paper, at which commit."""

    title: str
    where: str
    at: str


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """One published figure.

    Attributes:
        model: as its authors call it.
        kind: "base" (no tools), "agent" (tools), or "reasoner" (text-only reasoning).
        task: evalkit's name of the benchmark; "hrbench" is the mean of 4K and 8K.
        metric: "accuracy", "tool_rate", ...; a part of the set after a point ("accuracy.single").
        value: in `unit`.
        unit: "%" unless the source gives another.
        sources: keys of `Baselines.sources` that print this value; the first is where it was read.
        regime: how answers were sampled ("greedy", "Avg@32", ...); "unknown" where nobody says.
        variant: what the metric's name leaves open, if anything.
        note: what else a reader must know.
    """

    model: str
    kind: str
    task: str
    metric: str
    value: float
    unit: str
    sources: tuple[str, ...]
    regime: str
    variant: str = ""
    note: str = ""


class Baselines(msgspec.Struct, frozen=True):
    """All published figures and their sources. Sources that disagree have a figure each; nothing is averaged."""

    sources: dict[str, Source]
    figures: tuple[Published, ...]

    def of(self, model: str, task: str | None = None, metric: str | None = None) -> list[Published]:
        """The figures of one model, of one task and metric where given."""
        return [
            figure
            for figure in self.figures
            if figure.model == model and task in (None, figure.task) and metric in (None, figure.metric)
        ]


_KINDS = ("base", "agent", "reasoner")
_OTHER = frozenset({"source", "same", "regime", "unit", "note"})


@functools.cache
def published() -> Baselines:
    """The figures that come with evalkit (`reports/baselines/published.yaml`)."""
    return load_baselines(content_dir("reports") / "baselines" / "published.yaml")


def load_baselines(file: Path) -> Baselines:
    """Read a file of published figures.

    Raises:
        EvalkitError: it is not readable or not in the form of evalkit's own; the message names the place.
    """
    try:
        tree = parse_yaml(file.read_bytes())
        sources = msgspec.convert(tree["sources"], dict[str, Source])
        variants = msgspec.convert(tree.get("variants", {}), dict[str, str])
        figures = tuple(figure for entry in tree["models"] for figure in _figures(entry, sources, variants))
    except (OSError, msgspec.ValidationError, ValueError, RecursionError) as error:
        raise EvalkitError(f"baselines {file}: {one_line(error)}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise EvalkitError(
            f"baselines {file}: not in the form of evalkit's own file ({one_line(repr(error))})"
        ) from error
    seen: set[tuple[str, str, str, str]] = set()
    for figure in figures:
        key = (figure.model, figure.task, figure.metric, figure.sources[0])
        if key in seen:
            raise EvalkitError(f"baselines {file}: {' / '.join(key)} stands twice")
        seen.add(key)
    return Baselines(sources, figures)


def _figures(
    entry: Mapping[str, Any], sources: Mapping[str, Source], variants: Mapping[str, str]
) -> Iterator[Published]:
    model = str(entry["model"])
    if entry["kind"] not in _KINDS:
        raise ValueError(f"{model}: kind {entry['kind']!r} is none of {', '.join(_KINDS)}")
    for row in entry["figures"]:
        named = (row["source"], *row.get("same", ()))
        if missing := [name for name in named if name not in sources]:
            raise ValueError(f"{model}: source {missing[0]!r} is not among the sources")
        for metric, values in row.items():
            if metric in _OTHER:
                continue
            for task, value in values.items():
                yield msgspec.convert(
                    {
                        "model": model,
                        "kind": entry["kind"],
                        "task": task,
                        "metric": metric,
                        "value": value,
                        "unit": row.get("unit", "%"),
                        "sources": named,
                        "regime": row["regime"],
                        "variant": variants.get(f"{task}.{metric}", variants.get(metric, "")),
                        "note": row.get("note", ""),
                    },
                    Published,
                )
