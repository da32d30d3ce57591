"""How much a model sees of a benchmark's images: its pixel budget, and a word of warning before anything is spent."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.engines.pixels import PixelBudget, budget_of, computed
from evalkit.errors import DataError
from evalkit.models import IN_PROCESS, ModelCard
from evalkit.records import Sample

_LOOKED_AT = 32
_LARGE = 1e6
_SHRUNK = 0.75


def budget_for(card: ModelCard, engine: Mapping[str, Any]) -> PixelBudget | None:
    """The pixel budget that images will meet; None where nothing is known of it.

    Args:
        card: the model.
        engine: what the engine said at start; engines that hold the processor say its budget ("pixels").
    """
    if card.engine in IN_PROCESS:
        told = engine.get("pixels")
        return None if told is None else msgspec.convert(told, PixelBudget)
    folder = card.weights.folder
    low, high = _own_bounds(folder)
    return budget_of(
        card.family or _model_type(folder),
        low if card.pixels.min is None else card.pixels.min,
        high if card.pixels.max is None else card.pixels.max,
    )


def shrink_note(samples: Sequence[Sample], budget: PixelBudget | None, engine: str) -> str | None:
    """A warning where a benchmark's large images lose much of their area; None where they do not.

    Args:
        samples: the rows; the images of the first few are measured.
        budget: the model's.
        engine: the engine's name, for what changes it.
    """
    areas: list[int] = []
    shown: list[int] = []
    for sample in samples[:_LOOKED_AT]:
        for image in sample.images:
            try:
                header = image.header
            except DataError:
                # It will be said of its own row.
                continue
            seen = computed(header.width, header.height, budget)
            if seen is not None and seen.width is not None and seen.height is not None:
                areas.append(header.width * header.height)
                shown.append(seen.width * seen.height)
    if not areas:
        return None
    whole, part = statistics.median(areas), statistics.median(shown)
    if whole < _LARGE or part > _SHRUNK * whole:
        return None
    if engine in IN_PROCESS:
        mend = "--max-pixels changes it"
    else:
        mend = "by the model family's usual limit; the server's own (vLLM: --mm-processor-kwargs) decides"
    return (
        f"images are shrunk from {whole / 1e6:.1f} to {part / 1e6:.1f} megapixels (medians of {len(areas)}) "
        f"before the model sees them; {mend}"
    )


def _model_type(folder: str) -> str:
    """The architecture in a weights folder's config.json; empty without one."""
    kind = _config(folder, "config.json").get("model_type")
    return kind if isinstance(kind, str) else ""


def _own_bounds(folder: str) -> tuple[int | None, int | None]:
    """The least and the most pixels that the processor beside the weights allows; None where it does not say."""
    whole = _config(folder, "processor_config.json").get("image_processor")
    settings = _config(folder, "preprocessor_config.json") or (whole if isinstance(whole, dict) else {})
    size = settings.get("size")
    edges = size if isinstance(size, dict) else {}
    bounds = (
        settings.get("min_pixels") or edges.get("shortest_edge"),
        settings.get("max_pixels") or edges.get("longest_edge"),
    )
    low, high = (bound if isinstance(bound, int) and bound > 0 else None for bound in bounds)
    return low, high


def _config(folder: str, name: str) -> dict[str, Any]:
    """A configuration file of a weights folder; empty without one."""
    if not folder:
        return {}
    try:
        config = json.loads(Path(folder, name).read_bytes())
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}
