"""From what vLLM returns to a completion, and what its processor made of the images. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from evalkit.engines.base import Completion, Request, cut_at_stop
from evalkit.engines.pixels import PixelBudget, Seen
from evalkit.records import Timing, Usage


def completion_of(output: Any, request: Request, seen: Sequence[Seen], arrived: float) -> Completion:
    """The completion in a finished `RequestOutput`.

    Args:
        output: as vLLM's `generate` yields it last.
        request: what was asked.
        seen: what became of the request's images.
        arrived: `time.monotonic()` when the request came in; vLLM's engine process reads the same clock.
    """
    (first,) = output.outputs
    tokens = [image.tokens for image in seen]
    return Completion(
        text=cut_at_stop(first.text, request.stop),
        finish_reason=first.finish_reason or "",
        usage=Usage(
            prompt_tokens=len(output.prompt_token_ids),
            completion_tokens=len(first.token_ids),
            image_tokens=None if None in tokens else sum(count or 0 for count in tokens),
        ),
        timing=timing_of(output.metrics, arrived),
        images=tuple(seen),
    )


def timing_of(metrics: Any, arrived: float) -> Timing:
    """Queue, first token and decode from the engine's own clock; None for what it does not tell.

    The queue is all that lies before the engine's scheduler took the request up, image processing included.
    """
    if metrics is None or not metrics.scheduled_ts or not metrics.first_token_ts:
        return Timing()
    scheduled, first = metrics.scheduled_ts, metrics.first_token_ts
    return Timing(
        queue_s=max(0.0, scheduled - arrived),
        ttft_s=first - scheduled,
        decode_s=max(0.0, (metrics.last_token_ts or first) - first),
    )


def seen_in(prompt: Any, budget: PixelBudget | None) -> list[Seen]:
    """What the processor made of each image of a rendered prompt, in order.

    Sizes come from the processor's own grid of patches; an image that was processed for an earlier turn has
    none here.
    """
    places = (prompt.get("mm_placeholders") or {}).get("image", ())
    kwargs = (prompt.get("mm_kwargs") or {}).get("image", ())
    found: list[Seen] = []
    for index, place in enumerate(places):
        tokens = int(place.get_num_embeds())
        grid = _grid(kwargs[index]) if index < len(kwargs) else None
        if budget is None or grid is None:
            found.append(Seen(tokens=tokens))
            continue
        _, rows, columns = grid
        # A token stands for merge x merge patches, and they make up a square of `factor` pixels.
        patch = budget.factor // max(1, math.isqrt(rows * columns // max(1, tokens)))
        found.append(Seen(width=columns * patch, height=rows * patch, tokens=tokens))
    return found


def stray_placeholders(prompt: Any, token: int | None) -> int:
    """Image placeholders that stand outside the prompt's images: the text itself holds the placeholder."""
    if token is None:
        return 0
    ids: Sequence[int] = prompt["prompt_token_ids"]
    total = sum(id == token for id in ids)
    for place in (prompt.get("mm_placeholders") or {}).get("image", ()):
        total -= sum(id == token for id in ids[place.offset : place.offset + place.length])
    return total


def _grid(item: Any) -> tuple[int, int, int] | None:
    if item is None or "image_grid_thw" not in item:
        return None
    values = item["image_grid_thw"].data.flatten().tolist()
    return (int(values[0]), int(values[1]), int(values[2])) if len(values) == 3 else None
