"""What several methods share: perturbed inputs, masks of activations, attribution at the input, attention.

May import ``cam.request``, ``cam.inputs.targets``, ``cam.resize``, ``cam.layers`` and ``cam.network``. No method:
methods import these, never the other way.
"""
