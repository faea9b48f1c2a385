"""The studies that a report shows: which, in which window, and what is said of each.

May import what ``pipeline.conclusions`` may. Nothing here reads a picture: it chooses, and
``pipeline.runs.model_side.pictures`` cuts what was chosen.
"""
