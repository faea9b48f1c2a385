"""A case's pictures on the page: which panels there are, their rasters, and the lines and words around them.

May import findings and ``reports.page``: arrays become colours in ``reports.page.draw``.
Knows no section: what is explained, and why, is handed in as words.
"""
