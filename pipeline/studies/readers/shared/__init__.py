"""What readers of several formats share: the types they return, labels, contours, run lengths, side files.

May import geometry and errors; no reader.
"""
