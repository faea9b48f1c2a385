"""The page and what is drawn on it: fonts, layout, text, pictures, and the archivable file.

May import ReportLab, matplotlib and pikepdf; of ours ``reports.page`` and the results' types.
"""
