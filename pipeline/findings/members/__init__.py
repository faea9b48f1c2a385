"""The list of a run's studies: who is in it, of which bytes, and which shard audits whom.

May import the frozen type of findings and ``pipeline.packed``; a study's record and its scores are nothing of this.
A list of a million is columns of texts and numbers, and a ``Member`` is made when it is asked for.
"""
