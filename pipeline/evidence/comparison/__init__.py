"""Two runs of one cohort against each other, study by study: one engine for the command, the door and the report.

Pure: records of two runs in, a ``RunChange`` out. Who reads the runs is ``pipeline.conclusions.other_runs``.
May import the other rooms of ``pipeline.evidence`` and what lies below them; no model, no files.
"""
