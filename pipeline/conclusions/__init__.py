"""What is made of a run's findings for its reader: the cases to show, cut to panels, and the summary of inputs.

May import settings, findings, and the data types of studies. Loads no model and reads no file of the archive: images
and maps are handed in.
"""
