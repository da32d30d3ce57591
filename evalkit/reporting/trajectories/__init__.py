"""Trajectories for a report's page: which rows, and what is shown of each.

The page's part is in `reports/static`: `SCRIPTS` in this order, and `STYLES`.
"""

from __future__ import annotations

from evalkit.reporting.trajectories.album import Album, pooled
from evalkit.reporting.trajectories.build import details
from evalkit.reporting.trajectories.choice import ALL, FAILURES, Wanted, choose, choose_together
from evalkit.reporting.trajectories.detail import Detail, Details, Picture

SCRIPTS = (
    "trajectories_text.js",
    "trajectories_list.js",
    "trajectories_filters.js",
    "trajectories_one.js",
    "trajectories_pane.js",
    "trajectories.js",
)
"""Of `reports/static`, in the order in which the page needs them."""
STYLES = ("trajectories.css",)

__all__ = [
    "ALL",
    "FAILURES",
    "SCRIPTS",
    "STYLES",
    "Album",
    "Detail",
    "Details",
    "Picture",
    "Wanted",
    "choose",
    "choose_together",
    "details",
    "pooled",
]
