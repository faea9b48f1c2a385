"""What it takes to write a metric: the declaration, what its function is given, and how it says that it is undefined.

A package offers its metric by the entry point group ``camaudit.metrics``; ``camaudit.testing.metrics`` checks it.
"""

from pipeline.evidence.metrics.declaration import INVARIANCES, Metric, metric
from pipeline.evidence.metrics.map_evidence import MaskedEvidence, RegionOverlap, Undefined

__all__ = ["INVARIANCES", "MaskedEvidence", "Metric", "RegionOverlap", "Undefined", "metric"]
