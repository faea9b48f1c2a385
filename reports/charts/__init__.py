"""Vector drawings made of numbers, one chart a file: data in, a ReportLab drawing out, with words that stand for it.

May import the fonts, the looks and the text of ``reports.page``, ``reports.numbers`` and ``reports.wording``, and the
types of ``pipeline.findings``. No section, and nothing that computes: a chart shows what the results hold.
"""
