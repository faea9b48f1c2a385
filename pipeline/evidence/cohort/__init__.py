"""Records of many studies to what is said of the cohort: units, whom a number speaks of, estimates with bounds.

May import ``exact``, metrics, findings and vocabulary. Nothing here knows of criteria: they are in ``verdicts``.
Numbers that describe are in ``bootstrap``, those that decide come from ``exact``.
"""
