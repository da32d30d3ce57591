"""Any transformers vision-language model as an engine: requests of all trajectories in dynamic batches."""

from evalkit.engines.transformers.engine import TransformersEngine

__all__ = ["TransformersEngine"]
