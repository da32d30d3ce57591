"""Agents: one trajectory of a model with its tools, under a protocol and limits."""

from evalkit.agents.limits import Limits
from evalkit.agents.loop import Agent

__all__ = ["Agent", "Limits"]
