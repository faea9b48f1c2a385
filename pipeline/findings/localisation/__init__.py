"""What is kept of where a map lies: regions at many thresholds, the form of masks, thresholds that were tuned.

May import the rest of ``findings`` and the vocabulary. Records and numbers only: what computes them is in
``pipeline/evidence/localisation``.
"""
