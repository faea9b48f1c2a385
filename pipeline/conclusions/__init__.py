"""From a run's records to ``results.json``: cohort, verdicts, cases, the table for spreadsheets.

May import evidence and findings.
"""
