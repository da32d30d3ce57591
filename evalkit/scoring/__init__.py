"""Scoring: answer extraction and comparison, deterministic, never a guess."""
