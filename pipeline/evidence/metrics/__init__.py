"""Metrics: how a map compares with an expert's mask, one function a metric that declares what it is.

May import findings, and of studies the data types.
No model, no file, no torch: a verification measures again without them.
"""
