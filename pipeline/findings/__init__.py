"""What a run leaves behind and what a report may read: scores, audits of studies, estimates, results, panels, shards.

May import settings, errors, atomic writing and the program's version. Neither torch nor a reader of images: a report
opens a run without them.
"""
