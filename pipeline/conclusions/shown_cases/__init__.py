"""The studies that a report shows: which, in which window, and what is said of each.

May import what ``pipeline.conclusions`` may.
"""
