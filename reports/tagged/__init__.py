"""Pages that a screen reader can read and an archive can keep: whose each mark on a page is, and the rules for both.

ReportLab draws pages and knows no tags. A ``MarkedCanvas`` keeps what every operator of a page belongs to, ``write``
makes the structure tree of it in the file while pages are drawn, and ``preflight`` holds the finished file against the
rules before anything is claimed. May import ReportLab and pikepdf, and of ours ``reports.pdf_objects`` alone: it knows
no section and none of our data.
"""
