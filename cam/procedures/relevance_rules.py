"""The rules of layer-wise relevance propagation: how an operation hands on the relevance of its output to its inputs.

A rule divides the relevance R of an output among the terms that the output is the sum of. For an output z that is
linear in its inputs the terms of an input x are x times the derivative, so that all of it is told by products with
the derivative's transpose, J'(s), whatever the operation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from cam.procedures.linear_rules import Rules, Weighted, divided_by_rule, run_weighted, stabilised
from cam.procedures.rewriting import Operation, Rule, carried_back

__all__ = ["RelevanceAccount", "RelevanceTable", "named_rules", "relevance_rules"]


@dataclass
class RelevanceAccount:
    """What the rules of one pass back took in and handed on, summed over the batch; and the most that passed any."""

    taken: Tensor
    most: Tensor

    def enter(self, arrived: Tensor, sent: Sequence[Tensor]) -> None:
        """Add an operation's difference of the relevance that arrived and was sent on."""
        self.taken = self.taken + arrived.sum() - sum(part.sum() for part in sent)
        self.most = torch.maximum(self.most, arrived.abs().sum())


class RelevanceTable:
    """The rules of one forward: which outputs a batch normalisation may be merged with, and what saw the image."""

    def __init__(self, rules: Rules, image: Tensor, account: Callable[[], RelevanceAccount]) -> None:
        self._rules, self._account = rules, account
        self._weighted: dict[int, tuple[Tensor, Weighted]] = {}  # the output is kept, as long as its id is
        self._raw = {id(image): image}
        self._positive: dict[int, Tensor] = {}
        self._read: set[int] = set()

    def passed(self, operation: Operation) -> Tensor:
        """Let an elementwise function that is 0 at 0 pass its relevance on as it is."""
        values = [tensor.detach().clone() for tensor in operation.given]  # the function may be in place
        return self.carried(operation.on(values), lambda relevance: (relevance,), operation.given[:1])

    def clamped(self, operation: Operation) -> Tensor:
        """Let a clamp pass its relevance on where 0 stays 0."""
        low, high = operation.argument(1, "min"), operation.argument(2, "max")
        if not all(bound is None or isinstance(bound, int | float) for bound in (low, high)):
            raise ValueError(
                f"no rule is known for {operation.name!r} with bounds that are tensors, in {operation.module}"
            )
        if (low is not None and low > 0) or (high is not None and high < 0):
            raise ValueError(f"no rule is known for {operation.name!r} whose bounds {low}, {high} leave out 0")
        return self.passed(operation)

    def routed(self, operation: Operation) -> Any:  # noqa: ANN401 - one value, or several
        """Let relevance go where the values came from: autograd itself moves it."""
        return self._as_raw(operation, operation.function(*operation.args, **operation.kwargs))

    def placed(self, operation: Operation) -> Tensor:
        """Put values beside others: what lands on constants (a class token, padding) stays with them."""
        leaves = operation.leaves()
        with torch.enable_grad():
            z: Tensor = operation.on(leaves)

        def send(relevance: Tensor) -> tuple[Tensor, ...]:
            return torch.autograd.grad(z, leaves, relevance, retain_graph=True)

        result: Tensor = self._as_raw(operation, self.carried(z, send, operation.given))
        return result

    def dropped(self, operation: Operation) -> Tensor:
        """Leave out a dropout, which is none in evaluation."""
        if operation.argument(2, "training", default=True):
            raise ValueError(f"{operation.name!r} draws random numbers in evaluation mode, in {operation.module}")
        return operation.given[0]

    def summed(self, operation: Operation) -> Tensor:
        """Divide among the terms of an operation that is linear in all of its inputs together, constants among them."""
        leaves = operation.leaves()
        with torch.enable_grad():
            z = _out_of_place(operation).on(leaves)
        divided: Tensor = self.divided(z, leaves, operation.given)
        return (
            self._as_raw(operation, divided)
            if len(leaves) == 1 and operation.name.strip("_") in _WITH_NUMBERS
            else divided
        )

    def scaled(self, operation: Operation) -> Tensor:
        """Pass on through a product with, or a division by, a constant."""
        if len(operation.given) != 1:
            raise ValueError(
                f"no rule is known for {operation.name!r} of two values that both depend on the image (a gate), which "
                f"is used in {operation.module}: take integrated_gradients, which needs none"
            )
        if "div" in operation.name and operation.args[0] is not operation.given[0]:
            raise ValueError(f"no rule is known for {operation.name!r} by a value of the image, in {operation.module}")
        return self.summed(operation)

    def weighted(self, operation: Operation, axes: int | None = None) -> Tensor:
        """Divide the relevance of a linear operation with weights by the rule of its kind."""
        x, weight, bias = (operation.argument(place, name) for place, name in enumerate(("input", "weight", "bias")))
        if len(operation.given) != 1 or operation.given[0] is not x:
            raise ValueError(
                f"no rule is known for {operation.name!r} with weights of the image's, in {operation.module}"
            )
        function, rest = operation.function, operation.args[3:]
        named = {key: value for key, value in operation.kwargs.items() if key not in _WEIGHTS}

        def apply(values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            result: Tensor = function(values, weight, bias, *rest, **named)
            return result

        parameters = weight.detach(), None if bias is None else bias.detach()
        known = {"is_dense": axes is None, "sees_image": id(x) in self._raw, "is_positive": id(x) in self._positive}
        made = run_weighted(x, parameters, apply, **known)
        result = self._by_rule(made)
        if "transpose" not in operation.name and (axes is not None or x.ndim == 2):  # channels are the second axis
            self._weighted[id(result)] = (result, made)
        return result

    def batch_normalised(self, operation: Operation) -> Tensor:
        """Take a batch normalisation as part of the linear operation before it, or as a linear operation by itself."""
        x, mean, variance, weight, bias, training = (
            operation.argument(place, name) for place, name in enumerate(_BATCH_NORM)
        )
        if training or mean is None:
            raise ValueError(f"no rule is known for 'batch_norm' by the batch's own statistics, in {operation.module}")
        scale = torch.rsqrt(variance + operation.argument(7, "eps", 1e-5))
        scale = scale if weight is None else scale * weight.detach()
        shift = -mean * scale if bias is None else bias.detach() - mean * scale
        if id(x) in self._weighted:
            return self._by_rule(self._weighted[id(x)][1].scaled(scale, shift))
        leaf = x.detach().requires_grad_()
        channels = (-1, *[1] * (x.ndim - 2))
        with torch.enable_grad():
            z = leaf * scale.view(channels) + shift.view(channels)
        return self.divided(z, (leaf,), (x,))

    def noted(self, rule: Rule, operation: Operation) -> Any:  # noqa: ANN401 - whatever the rule returns
        """Answer by a rule, and note who reads a value for what is below 0 of it, and which values have nothing there.

        Behind a ReLU no relevance lies on a 0: every rule there multiplies by the value.
        """
        if operation.name not in (*_RECTIFYING, *_DROPPED.split()):  # a dropout returns the value itself
            self._read |= {id(tensor) for tensor in operation.given}
        result = rule(operation)
        if isinstance(result, Tensor) and self._has_nothing_below_0(operation):
            self._positive[id(result)] = result
        return result

    def _has_nothing_below_0(self, operation: Operation) -> bool:
        if operation.name in _RECTIFYING:
            return True
        tensors = [leaf for leaf in tree_leaves((operation.args, operation.kwargs)) if isinstance(leaf, Tensor)]
        is_kept = operation.name in _KEEPING_SIGNS and all(id(tensor) in self._positive for tensor in tensors)
        numbers = [*operation.args, *operation.kwargs.values()] if operation.name in _OF_SEVERAL else []
        return is_kept and not any(isinstance(number, int | float) and number < 0 for number in numbers)

    def _as_raw(self, operation: Operation, result: Any) -> Any:  # noqa: ANN401 - one value, or several
        """Remember that a linear operation on the result is the first on the image, where that is so."""
        if all(id(tensor) in self._raw for tensor in operation.given) and isinstance(result, Tensor):
            self._raw[id(result)] = result
        return result

    def _by_rule(self, made: Weighted) -> Tensor:
        key, read = [0], self._read
        send = divided_by_rule(made, self._rules, is_read=lambda: key[0] in read)
        result = self.carried(made.z, lambda relevance: (send(relevance),), (made.x,))
        key[0] = id(result)
        return result

    def divided(self, z: Tensor, leaves: Sequence[Tensor], given: Sequence[Tensor], factors: int = 1) -> Tensor:
        """Return z, linear in each of ``leaves``, as made of ``given``; each of so many factors has its equal part."""
        epsilon = self._rules.epsilon

        def send(relevance: Tensor) -> tuple[Tensor, ...]:
            shares = torch.autograd.grad(
                z, leaves, relevance / stabilised(factors * z.detach(), epsilon), retain_graph=True
            )
            return tuple(leaf.detach() * share for leaf, share in zip(leaves, shares, strict=True))

        return self.carried(z, send, given)

    def carried(self, z: Tensor, send: Callable[[Tensor], tuple[Tensor, ...]], given: Sequence[Tensor]) -> Tensor:
        """Return z as made of ``given``, with what ``send`` hands on to each; the difference is accounted for.

        What sends belongs to z: it must hold neither z nor this table, or none of them would ever be given back.
        """
        account = self._account

        def kept(relevance: Tensor) -> tuple[Tensor, ...]:
            sent = send(relevance)
            account().enter(relevance, sent)
            return sent

        return carried_back(z, kept, *given)


_PLAIN = {
    **{"add_": "add", "__iadd__": "add", "sub_": "sub", "__isub__": "sub"},
    **{"mul_": "mul", "__imul__": "mul", "div_": "div", "__itruediv__": "div"},
}
_WITH_NUMBERS = frozenset(("add", "iadd", "radd", "sub", "isub", "mul", "imul", "rmul", "div", "truediv", "itruediv"))
_WEIGHTS = ("input", "weight", "bias")
_BATCH_NORM = ("input", "running_mean", "running_var", "weight", "bias", "training")


def _out_of_place(operation: Operation) -> Operation:
    """Return the operation without its effect on what it was given."""
    function = getattr(torch, _PLAIN[operation.name]) if operation.name in _PLAIN else operation.function
    return Operation(
        function, operation.name, operation.args, operation.kwargs, operation.given, operation.module, operation.again
    )


_PASSED = """relu relu_ relu6 leaky_relu leaky_relu_ prelu elu elu_ celu celu_ selu selu_ gelu silu tanh tanh_ hardtanh
hardtanh_ hardswish mish softsign tanhshrink hardshrink softshrink"""
_ROUTED = """view reshape flatten unflatten ravel permute transpose swapaxes swapdims movedim moveaxis squeeze unsqueeze
contiguous clone to type type_as float double half bfloat16 expand expand_as repeat chunk split tensor_split unbind
__getitem__ select narrow index_select roll flip view_as reshape_as T mT pixel_shuffle
pixel_unshuffle max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d amax"""
_PLACED = "cat concat concatenate stack pad"
_DROPPED = "dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout"
_SUMMED = """add add_ __add__ __radd__ __iadd__ sub sub_ subtract __sub__ __rsub__ __isub__ rsub mean sum avg_pool1d
avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d interpolate upsample neg __neg__"""
_SCALED = """mul mul_ multiply __mul__ __rmul__ __imul__ div div_ true_divide __truediv__ __itruediv__ matmul
__matmul__ __rmatmul__ mm bmm einsum"""
_RECTIFYING = ("relu", "relu_", "relu6")
_OF_SEVERAL = ("add", "add_", "__add__", "__radd__", "__iadd__", "pad")
_KEEPING_SIGNS = frozenset(
    (
        *f"{_ROUTED} {_DROPPED} {_PLACED} mean sum avg_pool1d avg_pool2d avg_pool3d".split(),
        *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", *_OF_SEVERAL),
    )
)
_CONVOLUTIONS = {f"conv{kind}{axes}d": axes for kind in ("", "_transpose") for axes in (1, 2, 3)}


def relevance_rules(rules: Rules, image: Tensor, account: Callable[[], RelevanceAccount]) -> dict[str, Rule]:
    """Return the rules by the operations' names for a forward on ``image``; what they keep is accounted for."""
    return named_rules(RelevanceTable(rules, image, account))


def named_rules(table: RelevanceTable, further: Mapping[str, Rule] = MappingProxyType({})) -> dict[str, Rule]:
    """Return what a table answers, by the operations' names; ``further`` rules stand before its own."""
    named: dict[str, Rule] = dict.fromkeys(_PASSED.split(), table.passed)
    named |= dict.fromkeys(_ROUTED.split(), table.routed)
    named |= dict.fromkeys(_PLACED.split(), table.placed)
    named |= dict.fromkeys(_DROPPED.split(), table.dropped)
    named |= dict.fromkeys(_SUMMED.split(), table.summed)
    named |= dict.fromkeys(_SCALED.split(), table.scaled)
    named |= {name: partial(table.weighted, axes=axes) for name, axes in _CONVOLUTIONS.items()}
    named |= {"linear": table.weighted, "batch_norm": table.batch_normalised}
    named |= dict.fromkeys(("clamp", "clamp_", "clip", "clamp_min", "clamp_min_"), table.clamped)
    return {name: partial(table.noted, rule) for name, rule in (named | dict(further)).items()}
