"""A page with nothing but the trajectory browser, under the policy and with the data of a report in one file."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.analysis.row_index import RowIndex
from evalkit.reporting.page.assets import Source, assets
from evalkit.reporting.page.blobs import for_page, in_page, packed
from evalkit.reporting.trajectories import Album, Wanted, choose_together, details, pooled


def write_page(
    file: Path,
    indexes: Sequence[RowIndex],
    wanted: Wanted = 20,
    *,
    budget: int | None = None,
    model: str = "model",
    theme: str = "light",
) -> Path:
    """The page of these runs."""
    album = Album()
    chosen = choose_together(indexes, wanted)
    made = [details(index, rows, budget, album) for index, rows in zip(indexes, chosen, strict=True)]
    slim, pool = pooled(made)
    runs = [
        {
            "run": index.run,
            "model": f"{model} {number}",
            "task": index.task,
            "index": number,
            "details": sorted({*one.rows, *one.unreadable}),
        }
        for number, (index, one) in enumerate(zip(indexes, slim, strict=True))
    ]
    blobs: dict[str, Any] = {"pictures": pool}
    blobs |= {f"rows/{number}": for_page(index) for number, index in enumerate(indexes)}
    blobs |= {f"details/{number}": one for number, one in enumerate(slim)}
    file.write_text(page(runs, blobs, theme), encoding="utf-8")
    return file


def page(runs: Sequence[Mapping[str, Any]], blobs: Mapping[str, Any], theme: str = "light") -> str:
    """The page of any data."""
    parts = assets(Source.INLINE)
    data = [
        f'<script type="application/octet-stream" data-name="{name}">{packed(blob)}</script>'
        for name, blob in blobs.items()
    ]
    return "\n".join(
        [
            f'<!doctype html><html lang="en" data-source="inline" data-theme="{theme}"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{html.escape(parts.policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Trajectories</title>',
            *[f"<style>{text}</style>" for text in parts.styles],
            '</head><body><main><h1>Report</h1><section id="browser" aria-labelledby="title">',
            '<h2 id="title">Trajectories</h2><div id="trajectories-mount"></div></section></main>',
            f'<script type="application/json" id="evalkit-runs">{in_page(runs)}</script>',
            *data,
            *[f"<script>{text}</script>" for text in parts.scripts],
            "</body></html>",
        ]
    )
