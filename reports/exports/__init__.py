"""A run in other programs' formats: one file for each kind of export, and a folder for DICOM.

They write what ``pipeline.exports`` hands them, or what a finished run's folder says by itself. They may import what
``reports`` may, and the libraries of the formats.
"""
