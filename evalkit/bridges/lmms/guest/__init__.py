"""What runs in the Python that has lmms-eval. It needs nothing of evalkit, which may not be there."""
