"""Parts of a run in processes of their own that end with them: what those load, the leading process need not hold.

Where a cluster or a work pool works the shards, the process that began the run only watches. Whatever needs the model
(the start, the first pass over the cohort, experiments, what conclusions ask again) is then done here. May import what
``flows`` may, torch and MONAI only inside what the other process calls.
"""
