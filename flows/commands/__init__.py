"""What the commands do beside running an audit: checks, scans, the doctor, and how they end.

May import everything but Prefect.
"""
