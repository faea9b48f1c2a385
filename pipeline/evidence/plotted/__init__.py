"""Records of studies to what plots are drawn from: curves, reliability, confusion.

May import ``cohort``, ``exact``, findings and vocabulary. Nothing here decides anything: what a verdict follows from is
in ``cohort`` and ``verdicts``.
"""
