"""The page and what is drawn on it: fonts, layout, text, pictures, and the archivable file.

May import ReportLab, matplotlib, pikepdf and Pillow; of ours the results' type and, for the head of a page, what
``reports.registry`` hands to every section. Knows no section: it draws what it is given.
"""
