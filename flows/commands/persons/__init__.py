"""What the commands do by which persons answer for a run: signatures and decisions.

May import what other commands do, and reports.
Documents are made in ``reports``; the ledger's entries in ``pipeline.findings.custody``.
"""
