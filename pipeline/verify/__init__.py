"""A finished run held against itself: hashes, signatures, rows, maps, conclusions, report; without model and archive.

May import ``findings``, ``evidence`` and ``conclusions``; never torch, models or what makes a run.
"""
