"""One file a format of annotations: ``accepts``, ``read_mask``.

May import ``readers.shared``, ``readers.dicom`` and the images whose grid a mask lies on.
"""
