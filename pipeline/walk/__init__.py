"""One study from its row in the archive to its audit: read, prepare, explain, carry to the mask's grid, measure.

May import ``cam`` and every room of ``pipeline`` up to ``evidence``. Knows nothing of runs and their folders: studies
come in one by one, audits and maps go out.
"""
