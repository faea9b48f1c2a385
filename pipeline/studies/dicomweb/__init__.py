"""Studies of a DICOMweb server: fetched as they are asked for, kept in a folder of bounded size.

May import what reads a study; knows no model.
"""
