"""Class activation maps in 2D and 3D: tensors in, raw signed maps out."""

from cam.alignment import cell_shift
from cam.capture import Capture, capture
from cam.explain import INPUT, Explanation, explain
from cam.layers import choose_layer, spatial_layers
from cam.question import Found, Question
from cam.registry import METHODS, Method
from cam.resize import resize
from cam.targets import Asked, Difference, Positive, Predicted, Region, Scalar, Target

__all__ = [
    "INPUT",
    "METHODS",
    "Asked",
    "Capture",
    "Difference",
    "Explanation",
    "Found",
    "Method",
    "Positive",
    "Predicted",
    "Question",
    "Region",
    "Scalar",
    "Target",
    "capture",
    "cell_shift",
    "choose_layer",
    "explain",
    "resize",
    "spatial_layers",
]
