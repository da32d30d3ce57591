"""vLLM in this process as an engine: every trajectory's request joins the running batch as soon as it is ready."""

from evalkit.engines.vllm.engine import VllmEngine

__all__ = ["VllmEngine"]
