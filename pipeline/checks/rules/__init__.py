"""What the configuration may say, one file for each part of it: rules that need no torch, MONAI or Prefect.

May import what `pipeline.checks` may. Nothing here loads a model or reads a study.
"""
