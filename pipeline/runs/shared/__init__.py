"""One run that several processes work: who may take which shard, and who may join.

May import what ``pipeline.runs`` may; ``pipeline.runs.run`` imports ``claims`` alone. What is computed is the run's own
affair: no process here decides it.
"""
