"""Exported DICOM objects to an archive over a network: one file for each protocol.

An object that did not get there is named with the reason, by its file; no UID and no patient is. Each may import the
library of its protocol, and of ``pipeline`` what speaks to servers already.
"""
