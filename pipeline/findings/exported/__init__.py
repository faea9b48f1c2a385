"""A study as an export gets it: arrays on the image's own grid, and what of its DICOM headers may be copied.

``pipeline.exports`` makes it from a run and its archive; ``reports.exports`` writes files of it. Nothing here is kept
in a run. It may import the rest of ``pipeline.findings``.
"""
