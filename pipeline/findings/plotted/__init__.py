"""What plots are drawn from, as a run leaves it: curves, counts, differences, earlier runs, control charts.

May import the other types of ``findings``, errors and vocabulary. The numbers are computed in ``evidence.plotted`` and
``evidence.cohort``; a report draws them and computes nothing.
"""
