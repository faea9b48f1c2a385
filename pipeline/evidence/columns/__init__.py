"""A cohort's units as columns, and what is computed of groups of rows.

May import findings and vocabulary. Nothing here knows of metrics, estimates or criteria, nor how a unit's scores come
about from a study's record: that is in ``cohort``.
"""
