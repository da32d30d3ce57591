"""Engines: what continues a conversation. `Engine` is the seam.

The engines that need heavy libraries are imported by their module: `evalkit.engines.openai`,
`evalkit.engines.transformers` and `evalkit.engines.vllm`.
"""

from evalkit.engines.base import Completion, Engine, Message, Request, Sampling
from evalkit.engines.replay import ReplayEngine
from evalkit.engines.scripted import ScriptedEngine

__all__ = ["Completion", "Engine", "Message", "ReplayEngine", "Request", "Sampling", "ScriptedEngine"]
