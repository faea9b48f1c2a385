"""``camaudit export``: a run that holds, in other programs' formats.

One pass over its studies serves all formats that are asked for; an account says what got there and what did not.
It may import ``pipeline`` and ``reports``; the formats themselves are in ``reports.exports``.
"""
