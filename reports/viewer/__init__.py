"""The run as a page for a browser: one file without server and network, or served by ``camaudit view``.

Python gathers what the page shows and writes it as data; the hand-written JavaScript and CSS in ``static/`` draw it.
May import what ``reports`` may; decides nothing: sentences and scores are those of the report.
"""
