"""What ``audit.yaml`` may say, one file for each part of it, each rule with the keys that it relies on.

May import what ``pipeline.checks`` may, but nothing that loads torch, MONAI or Prefect: a slip of the pen is named
within a second. Nothing here runs a model or reads a study.
"""
