"""What the commands do beside running an audit: checks, scans, the doctor, progress, and how they end.

May import ``flows``, ``pipeline`` and ``reports``, and rich and Typer to print. Never Prefect: a command that runs an
audit reaches it through ``flows.engines``.
"""
