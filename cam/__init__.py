"""Class activation maps in 2D and 3D: tensors in, raw signed maps out; ``explain`` is the way in.

May import torch and numpy, and nothing else of this project: files, patients and reports are unknown here. Captum and
scikit-image are imported by the few methods that wrap them, when such a method is called.
"""

from cam.capture import Capture, capture
from cam.equivalence import same_evidence
from cam.explain import Explanation, explain
from cam.layers.alignment import cell_shift
from cam.layers.auto import LayerChoice, choose_layer, find_layer
from cam.layers.spatial import spatial_layers
from cam.layers.tokens import TokenGrid
from cam.memory import Memory
from cam.network.outputs import as_logits, squashing
from cam.registry import INPUT, METHODS, Method
from cam.request import ExplanationRequest, RawMaps
from cam.resize import resize
from cam.targets import Difference, PerSample, Positive, Predicted, Region, Scalar, Target, TargetLike, Value

__all__ = [
    "INPUT",
    "METHODS",
    "Capture",
    "Difference",
    "Explanation",
    "ExplanationRequest",
    "LayerChoice",
    "Memory",
    "Method",
    "PerSample",
    "Positive",
    "Predicted",
    "RawMaps",
    "Region",
    "Scalar",
    "Target",
    "TargetLike",
    "TokenGrid",
    "Value",
    "as_logits",
    "capture",
    "cell_shift",
    "choose_layer",
    "explain",
    "find_layer",
    "resize",
    "same_evidence",
    "spatial_layers",
    "squashing",
]
