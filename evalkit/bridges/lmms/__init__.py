"""lmms-eval: its tasks in evalkit, evalkit's agent as a model in lmms-eval, and its sample logs.

lmms-eval is never imported here: it runs in a child process of its own, see `child` and `guest`.
"""
