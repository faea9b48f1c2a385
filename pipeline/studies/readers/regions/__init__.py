"""One file a format of regions as annotation programs and reports store them; each is a reader of masks.

LabelMe, VIA, YOLO, Pascal VOC, AIM, LIDC, DICOM reports; and how XML and numbers of strangers are read.

May import errors, the data types, ``readers.shared``, ``readers.dicom`` and what draws (``readers.masks.annotations``,
``planar_regions`` here). No other reader.
"""
