"""What DICOM of one modality or vendor states besides pixels: weights and times of MR, mosaics' headers, units of PET.

May import errors, the data types, ``readers.shared``, ``readers.dicom`` and pydicom. No reader: those of images are
built from these parts.
"""
