"""What is kept of experiments with the model: changed inputs, the answers to them, what a rule makes of them.

May import the rest of ``findings`` and the vocabulary. Records and numbers only: the rules are in
``pipeline/evidence``, in a room for each family.
"""
