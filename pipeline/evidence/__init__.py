"""Numbers: how one map and one mask overlap, what a cohort of them says, whether a criterion is met.

May import settings, errors and findings, of studies the data types and the consensus, of ``cam`` whether two maps are
one. No model and no file: arrays and records in, scores, estimates and verdicts out.
"""
