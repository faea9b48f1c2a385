"""Whole runs measured: by processes, and by what Prefect takes of them."""
