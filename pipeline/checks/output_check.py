"""Whether the model's outputs are what the configuration says: found on noise, before it is shown a study."""

import torch
from torch import Tensor

from cam import squashing
from pipeline.config import ModelConfig
from pipeline.errors import ModelError
from pipeline.models.outputs import label_probabilities

__all__ = ["check_outputs", "output_notes"]

_EDGE = 0.999  # of the range that a squashing function approaches
_NO_RECORD = 0.9  # the same where autograd recorded nothing, so that the numbers are all there is
_SUM = 1e-3  # how far from one probabilities may sum


def check_outputs(model: ModelConfig, outputs: Tensor, of_all_sizes: Tensor) -> None:
    """Hold outputs (1, K), or (1, K, *S) of a segmentation, against the labels and what they are said to be.

    ``outputs`` have autograd's record where there is one; ``of_all_sizes`` (B, K, ...) are of noise of many sizes.

    Raises:
        ModelError: when their number or shape is another, or logits are probabilities, or the other way round.
    """
    _check_shape(model, outputs)
    if model.kind == "logits":
        named = squashing(outputs)
        if named:
            raise ModelError(_not_logits(model, named))
        _check_range(model, of_all_sizes, _EDGE if outputs.requires_grad else _NO_RECORD)
    if model.kind == "probability":
        _check_probabilities(model, of_all_sizes)


def _check_shape(model: ModelConfig, outputs: Tensor) -> None:
    shape = tuple(outputs.shape)
    if outputs.ndim > 2 and not model.segmentation:
        raise ModelError(
            f"the model's output must have shape (batch, labels), not {shape}: of a segmentation network say "
            "model.segmentation: true; a detector's boxes have no logit that a map could explain"
        )
    if outputs.ndim == 2 and model.segmentation:
        raise ModelError(
            f"model.segmentation: the model's output must have spatial axes, not shape {shape}: leave it out"
        )
    known = _expected(model)
    if shape[1] not in known:
        raise ModelError(
            f"model.labels: output {model.output!r} with {len(model.labels)} labels needs "
            f"{' or '.join(map(str, known))} output(s), but the model returns {shape[1]}"
        )


def _expected(model: ModelConfig) -> list[int]:
    labels = len(model.labels)
    if model.output == "single_logit":
        return [1]
    is_open = model.output in ("logits", "probability") and not model.multi_label
    return [1, labels] if is_open and labels == 2 else [labels]


def _not_logits(model: ModelConfig, named: str) -> str:
    cure = "leave that out, since a map explains the logit before it"
    if named.split()[0] in ("sigmoid", "softmax"):
        several = ", multi_label: true" if named.startswith("sigmoid") and model.has_independent_labels else ""
        cure = f"say output: probability{several}, which maps them back to logits, or {cure}"
    return f"model.output: {model.output!r} says that the model returns logits, and it ends in a {named}: {cure}"


def _check_probabilities(model: ModelConfig, outputs: Tensor) -> None:
    if not len(outputs):
        raise ModelError("model.output: the model's outputs for noise are NaN or infinite: they are no probabilities")
    low, high = float(outputs.min()), float(outputs.max())
    if low < 0 or high > 1:
        raise ModelError(
            f"model.output: 'probability' needs outputs within 0 and 1, and the model's reach from {low:.3g} to "
            f"{high:.3g}: if they are logits say softmax, sigmoid or single_logit, of numbers say regression"
        )
    if outputs.shape[1] == 1:
        return
    sums = label_probabilities(outputs, model, as_returned=True).sum(dim=1)
    is_one = bool(((sums - 1).abs() < _SUM).all())
    if model.multi_label and is_one:
        raise ModelError(
            "model.multi_label: the model's probabilities sum to one, so its labels exclude each other: leave it out"
        )
    if not model.multi_label and not is_one:
        raise ModelError(
            f"model.output: the model's probabilities sum to {float(sums.min()):.3g} and {float(sums.max()):.3g}, not "
            "to one: where labels do not exclude each other say multi_label: true"
        )


def _check_range(model: ModelConfig, outputs: Tensor, edge: float) -> None:
    """Refuse logits that never leave the range of a squashing function although the input does.

    The numbers tell what autograd's record cannot name, a sigmoid that is written by hand among them. A few small ones
    may be logits after all: they have to come as near to the end of the range as ``edge``.

    Raises:
        ModelError: naming the range.
    """
    values = outputs.detach().float().flatten()
    values = values[torch.isfinite(values)]
    if not len(values) or not bool(values.std(correction=0) > 0):
        return
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1 and (high > edge or low < 1 - edge):
        raise ModelError(_not_logits(model, "sigmoid or softmax (all outputs lie within 0 and 1, whatever the input)"))
    if low >= -1 and high <= 1 and max(-low, high) > edge:
        raise ModelError(_not_logits(model, "tanh (all outputs lie within -1 and 1, whatever the input)"))


def output_notes(model: ModelConfig, outputs: Tensor) -> tuple[str, ...]:
    """Return what a report has to say of outputs that are as they are said to be, and still may mislead."""
    named = squashing(outputs) if model.kind == "regression" else ""
    if named not in ("sigmoid", "softmax"):
        return ()
    return (
        f"the network ends in a {named}, as a classifier does: as a regression it is held to no accuracy, and a map "
        "explains the number behind that end",
    )
