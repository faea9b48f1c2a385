"""FullGrad."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.autograd.functional import jvp
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from cam.procedures.attribution import Score, attributed
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps
from cam.resize import resize

__all__ = ["full_gradients"]

_Layers = list[tuple[Tensor, Tensor, int]]  # output, bias in a shape that broadcasts to it, axis of the channels

_WITHOUT_BIAS = {
    nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d,
    nn.Dropout3d, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d,
    nn.AdaptiveMaxPool3d,
}  # fmt: skip
"""Twice the input is twice the output: a derivative takes in all of it. A subclass may add what it likes."""


@procedure(
    "fullgrad",
    title="FullGrad",
    paper="Srinivas and Fleuret, NeurIPS 2019, arXiv:1905.00780",
    formula="sum of psi(x times its gradient) and, over the layers, psi(bias times the output's gradient)",
    limits="The terms add up to the score, the map does not: psi takes their magnitudes and scales every layer alike.",
    signed=False,
    at="input",
    cost="6 a target: a forward, the layers' biases and a backward through the whole model",
    forwards=lambda work, _given: 6 * work.samples * work.targets,
    differs="only convolutions and BatchNorm count as layers with a bias, and each channel is scaled to [0, 1] before "
    "the sum.",
)
def fullgrad(request: ExplanationRequest) -> RawMaps:
    """Return psi(x * dy/dx) + sum_l psi(b_l * dy/dz_l), z_l the output of layer l and b_l its bias: maps (T, B, *S).

    psi is the magnitude, scaled to 0..1 over all channels and places of a layer of a sample (as the authors' code does;
    the paper's notation would scale channel by channel), resized to the image with cam's own rule and summed over
    channels; a layer whose magnitudes are all equal adds nothing. Layers whose output has no place in the image (linear
    ones behind pooling) count for the score, but have no part in the map.

    The note tells when the terms do not add up to the score, because a part of it comes from parameters or functions
    that are no module's.
    """
    gaps: list[float] = [0.0]

    def attribute(score: Score, x: Tensor, samples: Tensor, _rows: int) -> Tensor:
        scores, terms = full_gradients(request.model, score, x, samples)
        gaps.append(_gap(scores, terms))
        return torch.stack([_psi(term, tuple(x.shape[2:])) for term in terms if term.ndim == x.ndim]).sum(dim=0)

    maps = attributed(request, attribute)
    missed = max(gaps)
    note = f"the terms miss the score by up to {missed:.1%} of their size: a part of it is in no module"
    return RawMaps(maps, note if missed > 1e-3 else "")


def full_gradients(model: nn.Module, score: Score, x: Tensor, samples: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return the scores (B,) and the terms that add up to them: x * dy/dx (B, C, *S), then b_l * dy/dz_l of each layer.

    A layer's bias is what its output is more than its derivative times its input, b = f(z) - f'(z) z: the bias itself
    of a convolution or linear layer, shift and running mean of a batch normalisation, and the implicit bias of a
    normalisation by the input's own statistics or of a smooth activation (section 3 of the paper); 0 for ReLU or
    pooling. Layers are the modules without children; the model is left as it was found.
    """
    x = x.requires_grad_()
    with _recording(model) as kept:
        scores = score(x, samples)
    kept = _with_bias(kept)
    gradients = torch.autograd.grad(scores.sum(), [x, *(output for output, _, _ in kept)], allow_unused=True)
    factors = [(x.detach(), 1), *((bias, axis) for _, bias, axis in kept)]
    terms = [
        _by_sample((factor * gradient).movedim(axis, 1), len(x))
        for (factor, axis), gradient in zip(factors, gradients, strict=True)
        if gradient is not None and len(gradient) % len(x) == 0
    ]
    return scores.detach(), terms


def _with_bias(layers: _Layers) -> _Layers:
    """Leave out the layers whose bias is 0; asked of all together, since a device is waited for at each question."""
    if not layers:
        return layers
    some = torch.stack([bias.any().to(layers[0][1].device) for _, bias, _ in layers]).tolist()
    return [layer for layer, has_bias in zip(layers, some, strict=True) if has_bias]


def _by_sample(term: Tensor, batch: int) -> Tensor:
    """Return the term of each sample; windows of a sample (attention) stand together and lose their place."""
    return term if len(term) == batch else term.reshape(batch, -1)


@contextmanager
def _recording(model: nn.Module) -> Iterator[_Layers]:
    kept: _Layers = []
    inputs_of: dict[nn.Module, Tensor | None] = {}
    axis = 1

    def before(module: nn.Module, inputs: tuple[object, ...]) -> None:
        single = inputs[0] if len(inputs) == 1 else None
        known = single if isinstance(single, Tensor) and single.is_floating_point() else None
        inputs_of[module] = None if known is None else known.detach().clone()  # the module may overwrite it

    def after(module: nn.Module, _inputs: object, output: object) -> Tensor | None:
        nonlocal axis
        axis = _channel_axis(module, axis)
        z = inputs_of.pop(module)
        if z is None or not isinstance(output, Tensor) or not output.requires_grad or output.ndim < 2:
            return None
        bias = _bias(module, z)
        if bias is None:
            return None
        kept.append((output, bias, axis))
        return output.clone()  # an in-place operation behind the layer must not overwrite what is differentiated

    hooks: list[torch.utils.hooks.RemovableHandle] = []
    try:
        for module in model.modules():
            if not any(True for _ in module.children()):
                hooks += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


def _channel_axis(module: nn.Module, latest: int) -> int:
    """Return where the module's output has its channels; one that does not care follows the layer before it."""
    if isinstance(module, nn.Linear | nn.LayerNorm):
        return -1
    return 1 if isinstance(module, _ConvNd | _NormBase | nn.GroupNorm) else latest


def _bias(module: nn.Module, z: Tensor) -> Tensor | None:
    """Return what broadcasts to the module's output as its bias for this input z, or None where that is 0."""
    if isinstance(module, _ConvNd | nn.Linear):
        beside = [1] * (z.ndim - 2) if isinstance(module, _ConvNd) else []
        return None if module.bias is None else module.bias.detach().view(-1, *beside)
    return None if type(module) in _WITHOUT_BIAS else _implicit_bias(module, z)


def _implicit_bias(module: nn.Module, z: Tensor) -> Tensor:
    def run(values: Tensor) -> Tensor:
        result: Tensor = module.forward(values.clone())  # the clone is for in-place activations
        return result

    value, slope = jvp(run, z, z)  # type: ignore[no-untyped-call]
    bias: Tensor = value - slope
    rounding = 100 * torch.finfo(bias.dtype).eps * _peak(value)  # psi would blow it up to full height
    return torch.where(_peak(bias) > rounding, bias, 0)


def _peak(values: Tensor) -> Tensor:
    """Return each row's largest magnitude, in a shape that broadcasts."""
    return values.abs().flatten(1).amax(dim=1).view(-1, *[1] * (values.ndim - 1))


def _gap(scores: Tensor, terms: list[Tensor]) -> float:
    """Return the largest part of a sample's score that its terms lack, relative to the terms' magnitudes."""
    sums = torch.stack([term.flatten(1).sum(dim=1) for term in terms])
    size = torch.maximum(sums.abs().sum(dim=0), scores.abs())
    return float(((scores - sums.sum(dim=0)).abs() / torch.where(size > 0, size, 1)).amax())


def _psi(term: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a layer's part of the map: (B, C, *S) to (B, *shape)."""
    sizes = term.abs().flatten(1)
    sizes = sizes - sizes.amin(dim=1, keepdim=True)
    peak = _peak(sizes)
    scaled = sizes / torch.where(peak > 0, peak, 1)
    return resize(scaled.view_as(term).sum(dim=1), shape)  # linear, so the sum over channels may come first
