"""One file a format of annotations: ``accepts(path)``, and ``read_mask(path, image, request)`` on the image's grid.

May import errors, the data types, ``readers.shared`` and ``readers.dicom``, and the library of its format. No reader of
images: the image that a mask belongs to is handed in.
"""
