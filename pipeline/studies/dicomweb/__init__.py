"""Studies of a DICOMweb server: fetched as they are asked for, kept in a folder of bounded size.

May import errors, ``read_study``, the listing, the index that describes a series, what readers share, and the worker
processes that open what a server sent. Knows no model, and no format but DICOM.
"""
