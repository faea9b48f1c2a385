"""One file a format of images: ``accepts``, ``read``.

May import ``readers.shared`` and ``readers.dicom``; nothing of masks.
"""
