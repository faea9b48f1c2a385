"""What is kept and what a report or a check of it may read: the signed ledger and the site's key.

May import ``pipeline.errors``, ``pipeline.files``, ``pipeline.file_lock`` and its own; everybody may import it.
Never torch, a model, an archive or ``pipeline.runs``: a run is verified where none of these is.
"""
