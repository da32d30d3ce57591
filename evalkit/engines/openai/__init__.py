"""Any OpenAI-compatible server as an engine."""

from evalkit.engines.openai.engine import OpenAIEngine

__all__ = ["OpenAIEngine"]
