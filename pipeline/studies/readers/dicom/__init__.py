"""What readers of DICOM share: headers, frames, pixel formats and values, planes, references.

May import errors, geometry, ``readers.shared``, the index's reading of single elements, and pydicom. No reader: those
of images and masks are built from these parts.
"""
