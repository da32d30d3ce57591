"""From measured trajectories to training data: what is fit to learn from, and what overlaps with the benchmarks.

`evalkit.curation.sft` keeps trajectories, `evalkit.curation.rl` keeps prompts, `evalkit.curation.leakage` compares a
data set with the tasks. Each filter is counted and explained in a report, and the fate of every row is kept.
"""
