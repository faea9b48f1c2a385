"""What several methods share: perturbed inputs, masks of activations, attribution at the input, attention.

May import everything in ``cam`` but a method.
"""
