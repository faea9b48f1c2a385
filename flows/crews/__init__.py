"""Who works a run's shards beside the process that began it: one file for each kind of help.

A crew starts processes that claim shards (``flows.working``); it decides nothing of what they compute. Dask and Prefect
are imported here only in their own files.
"""
