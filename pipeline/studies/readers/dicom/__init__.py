"""What readers of DICOM share: headers, frames, pixel formats and values, planes, references.

May import ``readers.shared``; no reader.
"""
