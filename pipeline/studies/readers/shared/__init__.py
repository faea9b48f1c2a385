"""What readers of several formats share: the types they return, labels, contours, run lengths, side files.

May import errors and the data types of studies; ``sidecars`` alone imports ``readers.masks.label_maps``, whose values
it names, and what names YOLO's classes. No reader.
"""
