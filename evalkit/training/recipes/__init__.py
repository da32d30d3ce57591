"""Whole studies, by name: `evalkit train --recipe NAME`."""
