"""Reporting: a run's figures for people."""

from evalkit.reporting.figures import figure_rows, interval_note, own_rows, tries_note
from evalkit.reporting.judged import judged_note
from evalkit.reporting.markdown import run_markdown
from evalkit.reporting.rows import FigureRow

__all__ = ["FigureRow", "figure_rows", "interval_note", "judged_note", "own_rows", "run_markdown", "tries_note"]
