"""The rules of DeepLIFT: an image and a reference go through the network side by side, half of the batch each.

What comes back at a value is its multiplier, the score's difference from the reference per difference of the value. A
linear operation hands it on as its derivative does; one that acts on each value by itself multiplies it with the
difference of its output over that of its input, which no derivative sees.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cam.procedures.rewriting import Operation, Rule, carried_back

__all__ = ["difference_rules"]

_ELEMENTWISE = """relu relu_ relu6 leaky_relu leaky_relu_ prelu elu elu_ celu celu_ selu selu_ gelu silu tanh tanh_
sigmoid sigmoid_ softplus hardtanh hardtanh_ hardsigmoid hardswish mish softsign tanhshrink hardshrink softshrink
logsigmoid clamp clamp_ clip clamp_min clamp_min_ exp square abs"""
_ROUTING = """max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d amax"""
_LINEAR = """view reshape flatten unflatten ravel permute transpose swapaxes swapdims movedim moveaxis squeeze unsqueeze
contiguous clone to type type_as float double expand expand_as repeat chunk split tensor_split unbind __getitem__ select
narrow index_select cat concat concatenate stack roll flip view_as reshape_as T mT pixel_shuffle pixel_unshuffle pad
add __add__ __radd__ sub subtract __sub__ __rsub__ rsub mean sum neg __neg__ avg_pool1d avg_pool2d avg_pool3d
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d interpolate upsample"""
_WITH_CONSTANTS = """mul multiply __mul__ __rmul__ div true_divide __truediv__ matmul __matmul__ __rmatmul__ mm bmm
einsum"""
_WEIGHTED = "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d"
_IN_PLACE = {
    **{"add_": "add", "__iadd__": "add", "sub_": "sub", "__isub__": "sub"},
    **{"mul_": "mul", "__imul__": "mul", "div_": "div", "__itruediv__": "div"},
}
_SMALL = 1e-7
"""Below this share of the values' size a difference is rounding, and the derivative stands for the quotient."""


def difference_rules() -> Mapping[str, Rule]:
    """Return the rules by the operations' names; half of every batch is the references'."""
    rules: dict[str, Rule] = dict.fromkeys(_ELEMENTWISE.split(), _rescaled)
    rules |= dict.fromkeys(_ROUTING.split(), _of_the_largest)
    rules |= dict.fromkeys(_LINEAR.split(), _as_it_is)
    rules |= dict.fromkeys([*_WITH_CONSTANTS.split(), *_IN_PLACE], _with_a_constant)
    rules |= dict.fromkeys(_WEIGHTED.split(), _weighted)
    dropped = "dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout"
    return rules | dict.fromkeys(dropped.split(), _dropped) | {"batch_norm": _batch_normalised}


def _as_it_is(operation: Operation) -> Any:  # noqa: ANN401 - one value, or several
    return operation.function(*operation.args, **operation.kwargs)


def _dropped(operation: Operation) -> Tensor:
    if operation.argument(2, "training", default=True):
        raise ValueError(f"{operation.name!r} draws random numbers in evaluation mode, in {operation.module}")
    return operation.given[0]


def _with_a_constant(operation: Operation) -> Any:  # noqa: ANN401 - whatever it returns
    """Hand on through an operation that is linear in one value beside constants; sums of two are linear as well."""
    name = _IN_PLACE.get(operation.name, operation.name)
    is_sum = name in ("add", "sub")
    divides = "div" in name and len(operation.given) == 1 and operation.args[0] is not operation.given[0]
    if divides or (len(operation.given) > 1 and not is_sum):
        raise ValueError(
            f"no rule is known for {operation.name!r} of two values that both depend on the image (a gate), which is "
            f"used in {operation.module}: take integrated_gradients, which needs none"
        )
    function = getattr(torch, name) if operation.name in _IN_PLACE else operation.function
    return function(*operation.args, **operation.kwargs)


def _weighted(operation: Operation) -> Tensor:
    """Run the references beside the graph: nothing comes back to them, and the backward costs half."""
    if len(operation.given) != 1 or operation.given[0] is not operation.argument(0, "input"):
        raise ValueError(f"no rule is known for {operation.name!r} with weights of the image's, in {operation.module}")
    own, other = _halves(operation.given[0])
    with torch.no_grad():
        references = operation.on([other])
    return torch.cat([operation.on([own]), references])


def _batch_normalised(operation: Operation) -> Any:  # noqa: ANN401 - a tensor
    if operation.argument(5, "training") or operation.argument(1, "running_mean") is None:
        raise ValueError(f"no rule is known for 'batch_norm' by the batch's own statistics, in {operation.module}")
    return _as_it_is(operation)


def _rescaled(operation: Operation) -> Tensor:
    """Multiply with the difference of the output over that of the input: the rescale rule, equation 13."""
    values = operation.given[0]
    leaf = values.detach().clone().requires_grad_()
    with torch.enable_grad():
        output = operation.on([leaf.clone()])  # the function may be in place
    (slope,) = torch.autograd.grad(output.sum(), leaf)
    below, above = _halves(leaf.detach()), _halves(output.detach())
    change = below[0] - below[1]
    near = change.abs() <= _SMALL * torch.maximum(below[0].abs(), below[1].abs())
    multiplier = torch.where(near, _halves(slope)[0], (above[0] - above[1]) / torch.where(near, 1, change))

    def send(arrived: Tensor) -> Sequence[Tensor]:
        return (torch.cat([_halves(arrived)[0] * multiplier, torch.zeros_like(multiplier)]),)

    return carried_back(output, send, values)


def _of_the_largest(operation: Operation) -> Tensor:
    """Give the difference of a maximum to the value that is largest of both: the image's own, or the reference's."""
    values = operation.given[0]
    leaf = values.detach().requires_grad_()
    with torch.enable_grad():
        output = operation.on([leaf])
    if not isinstance(output, Tensor):
        raise ValueError(f"a maximum that returns its places has no rule, in {operation.module}")  # noqa: TRY004 - one error type
    below, above = _halves(leaf.detach()), _halves(output.detach())
    change, is_own = below[0] - below[1], above[0] >= above[1]

    def send(arrived: Tensor) -> Sequence[Tensor]:
        worth = _halves(arrived)[0] * (above[0] - above[1])
        routed = torch.cat([worth * is_own, worth * ~is_own])
        own, others = _halves(torch.autograd.grad(output, leaf, routed, retain_graph=True)[0])
        multiplier = torch.where(change == 0, 0, (own + others) / torch.where(change == 0, 1, change))
        return (torch.cat([multiplier, torch.zeros_like(multiplier)]),)

    return carried_back(output, send, values)


def _halves(values: Tensor) -> tuple[Tensor, Tensor]:
    half = len(values) // 2
    return values[:half], values[half:]
