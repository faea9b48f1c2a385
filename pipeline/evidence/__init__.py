"""Numbers: overlap of one map and one mask, and what a cohort of them says.

May import findings, and of studies the data types; no model, no file.
"""
