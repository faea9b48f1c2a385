"""``camaudit export``: a run that holds, in other programs' formats: one pass over its studies for all that was asked.

It may import ``pipeline`` and ``reports``; the formats themselves are in ``reports.exports``.
"""
