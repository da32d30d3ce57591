"""Training: rollouts through evalkit's own agent loop, what they are worth, and the weights that come of it.

`evalkit.training.trainer` is where Python begins; importing this package loads nothing.
"""
