"""What is kept of experiments on the model: one file a family with its rows and what follows from them, as types.

May import the rest of ``findings`` and the vocabulary; nothing is computed here, and no torch is loaded.
What follows from rows is computed in ``pipeline/evidence``, and what they hold in ``pipeline/experiments``.
"""
