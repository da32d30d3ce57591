"""Sandboxes: where a model's Python code runs."""
