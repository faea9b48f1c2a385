"""How often the exact rule errs, simulated: ``python -m tests.coverage``.

Every cell draws cohorts from a law whose truth is known, asks the rule at the truth, and counts false MET, false NOT
MET and coverage, and the power where the truth lies beyond the bound.
"""
