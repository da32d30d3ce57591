"""What the two runs say to each metric."""

from evalkit.gate.evidence.paired import PairedEvidence
from evalkit.gate.evidence.published import PublishedEvidence
from evalkit.gate.evidence.run import Run, run_of

__all__ = ["PairedEvidence", "PublishedEvidence", "Run", "run_of"]
