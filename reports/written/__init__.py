"""A PDF file that is written while its pages are drawn: memory keeps where things stand, not what they are.

ReportLab keeps every page until the last is drawn, and a library that completes its file holds each of its objects.
``ObjectFile`` takes finished objects, ``PageDocument`` lets ReportLab hand over its own as soon as they are finished.
"""
