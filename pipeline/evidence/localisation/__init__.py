"""Where a map lies beyond its scores: regions at many thresholds, lesions by form, other patients' masks.

May import metrics and cohort, findings, the configuration, and of studies the data types.
Nothing here judges a criterion: that is done in ``verdicts``.
"""
