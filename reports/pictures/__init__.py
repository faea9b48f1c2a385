"""A case's pictures on the page: which panels there are, their rasters, and the lines and words around them.

May import findings and ``reports.page``. Nothing here knows a section; arrays become colours in ``reports.page.draw``.
"""
