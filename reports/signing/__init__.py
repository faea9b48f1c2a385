"""Signatures of a report: the boxes on its first page, how one is filled in and signed, and what signatures say later.

May import findings, errors and ``reports.page``; pyHanko is imported only in functions, and only here.
Whether what a signature says is a failure is for ``pipeline.verify`` to say.
"""
