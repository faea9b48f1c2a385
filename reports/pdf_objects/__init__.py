"""The objects of a PDF file, written one by one while its pages are drawn, and read again piece by piece.

ReportLab keeps every page until the last is drawn, and a library that completes or checks a file holds each of its
objects. ``ObjectFile`` takes objects as soon as they are finished, ``PageDocument`` lets ReportLab hand over its own,
``FileReader`` lets go of what was read. Memory keeps where things stand, not what they are. May import ReportLab and
pikepdf, and nothing of ours.
"""
