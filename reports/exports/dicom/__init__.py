"""A study's findings as DICOM objects: one file for each kind of object, and what all of them share.

Objects are built by highdicom from headers that were cut to an allow-list before (``pipeline.exports.source_series``):
what a source says of institution, station or operator is not there to be copied. They may import highdicom and pydicom.
"""
