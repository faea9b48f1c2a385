"""The metric engine's second back end: maps are resampled and scored by torch, on the model's device.

May import torch, the metrics, findings, and of studies the data types; the walk alone imports it. Nothing here is a
metric: each is written once, in ``evidence.metrics``, over numbers that either back end computes.
"""
