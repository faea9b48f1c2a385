"""What a run's numbers stand beside: other runs, the people and scanners of its cohort, and what its authors state.

Types alone, as results hold them; what fills them lives in ``pipeline.conclusions`` and ``pipeline.evidence``.
May import the other types of ``pipeline.findings`` that results are made of, never results themselves.
"""
