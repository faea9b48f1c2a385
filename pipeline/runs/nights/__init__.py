"""The runs of one audit, night by night: which are under way, whether there is anything new, which may go.

May import what ``pipeline.runs`` may. Nothing here computes a number of a study; what only looks at folders (
``heartbeat``, ``standing``, ``retention``) loads neither torch nor MONAI.
"""
