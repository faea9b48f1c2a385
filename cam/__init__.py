"""Class activation maps in 2D and 3D: tensors in, raw signed maps out; ``explain`` is the way in.

May import torch and numpy, and nothing else of this project: files, patients and reports are unknown here. Captum and
scikit-image are imported by the few methods that wrap them, when such a method is called.
"""

from cam.capture import Capture, capture
from cam.estimate import Cost, estimate
from cam.explain import explain
from cam.inputs.target_keys import TargetLike
from cam.inputs.targets import (
    AnswerToken,
    Difference,
    PerSample,
    Positive,
    Predicted,
    Region,
    Scalar,
    Similarity,
    Target,
    Value,
)
from cam.layers.alignment import cell_shift
from cam.layers.auto import LayerChoice, choose_layer, find_layer
from cam.layers.calls import Slices
from cam.layers.spatial import spatial_layers
from cam.layers.tokens import TokenGrid
from cam.memory import Memory
from cam.network.outputs import as_logits, squashing
from cam.outcome.equivalence import same_evidence
from cam.outcome.explanation import EmptyMap, Explanation, NoSuchMapError
from cam.outcome.map_tensor import MapTensor
from cam.registry import INPUT, METHODS, Method
from cam.request import ExplanationRequest, RawMaps
from cam.resize import resize
from cam.uncertainty.spread import MapSpread, explain_variants
from cam.uncertainty.variants import Variant, by_augmentation, by_dropout, by_models

__all__ = [
    "INPUT",
    "METHODS",
    "AnswerToken",
    "Capture",
    "Cost",
    "Difference",
    "EmptyMap",
    "Explanation",
    "ExplanationRequest",
    "LayerChoice",
    "MapSpread",
    "MapTensor",
    "Memory",
    "Method",
    "NoSuchMapError",
    "PerSample",
    "Positive",
    "Predicted",
    "RawMaps",
    "Region",
    "Scalar",
    "Similarity",
    "Slices",
    "Target",
    "TargetLike",
    "TokenGrid",
    "Value",
    "Variant",
    "as_logits",
    "by_augmentation",
    "by_dropout",
    "by_models",
    "capture",
    "cell_shift",
    "choose_layer",
    "estimate",
    "explain",
    "explain_variants",
    "find_layer",
    "resize",
    "same_evidence",
    "spatial_layers",
    "squashing",
]
