"""The names of the arguments, where a caller writes those of another package."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from cam.inputs.spelling import did_you_mean

__all__ = ["in_our_words"]

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

_OURS = {
    "x": ("input_tensor", "input", "inputs", "image", "images", "img", "input_batch"),
    "layers": ("target_layers", "target_layer", "layer", "layer_name", "feature_layer"),
    "target": ("class_idx", "target_class", "target_category", "class_index", "label", "pred_label_idx"),
    "methods": ("method", "cam", "algorithm"),
    "grids": ("reshape_transform",),
    "rows": ("batch_size", "internal_batch_size", "perturbations_per_eval"),
}
"""What pytorch-grad-cam, torchcam, MONAI and captum call these arguments."""


def in_our_words(function: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """Let a function refuse arguments that it does not have in one sentence that names those that it has."""
    signature = inspect.signature(function)
    ours = {theirs: name for name, several in _OURS.items() for theirs in several}

    @wraps(function)
    def checked(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
        for name in kwargs:
            if name not in signature.parameters:
                raise ValueError(f"{function.__name__} has no argument {name!r}; {_hint(name, ours, signature)}")
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ValueError(f"{function.__name__}: {error}") from None
        return function(*args, **kwargs)

    return checked


def _hint(name: str, ours: dict[str, str], signature: inspect.Signature) -> str:
    if ours.get(name) in signature.parameters:
        return f"here it is {ours[name]}="
    known = list(signature.parameters)
    near = did_you_mean(name, known).removeprefix("; ").replace("'", "").removesuffix("?")
    return f"{near}=?" if near else f"its arguments are {', '.join(known)}"
