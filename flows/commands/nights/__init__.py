"""The commands of whoever is on night duty: status, history, prune, and the file for Prometheus.

May import ``pipeline.runs.nights``, findings and ``reports.trend``; never torch, MONAI or Prefect: they look at
folders, and answer in a second.
"""
