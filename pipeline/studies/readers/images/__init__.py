"""One file a format of images: ``accepts(path)`` looks at the first bytes, ``read(path, options)`` gives a volume.

May import errors, the data types, pseudonyms' list of harmless header fields, ``readers.shared``, ``readers.dicom``,
and the library of its format. A format of images and label maps has its ``read_mask`` here too, and may import what
masks share.
"""
