"""The rules of operations with weights: how the relevance of their outputs is divided among their inputs.

An operation runs once in the forward. What a rule needs of other weights or values it runs when relevance arrives, and
no more of it than there is to divide: one more operation and one transposed for z+ and gamma behind a ReLU.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Generic, Literal, TypeVar

import torch
from torch import Tensor

__all__ = ["LinearRule", "Rules", "Weighted", "divided_by_rule", "run_weighted", "stabilised"]

LinearRule = Literal["epsilon", "zplus", "gamma", "flat", "box"]
_Made = TypeVar("_Made")
_Send = Callable[[Tensor], Tensor]
"""From the relevance of an operation's outputs to that of its inputs."""


def stabilised(z: Tensor, epsilon: float) -> Tensor:
    """Return a denominator z whose magnitude is larger by epsilon; 0 counts as positive."""
    return z + epsilon * torch.where(z < 0, -1, 1).to(z)


@dataclass(frozen=True)
class Rules:
    """Which rule linear operations follow: convolutions, all others, and those that see the image itself.

    ``first`` is None where these follow the rule of their kind. ``epsilon`` is the stabiliser of every division,
    ``gamma`` the weight of the positive parts in the rule of that name.
    """

    convolution: LinearRule
    dense: LinearRule
    first: LinearRule | None = None
    epsilon: float = 1e-6
    gamma: float = 0.25


class _Once(Generic[_Made]):
    """What is made when it is first asked for, and kept for the targets that ask again."""

    def __init__(self, make: Callable[[], _Made]) -> None:
        self._make = make

    @cached_property
    def value(self) -> _Made:
        """What was made."""
        return self._make()


@dataclass(frozen=True)
class _Run:
    """An output of the operation, and the copy of its input that it hangs on."""

    leaf: Tensor
    output: Tensor

    def back(self, share: Tensor) -> Tensor:
        """Return the transposed operation's output of ``share``."""
        (gradient,) = torch.autograd.grad(self.output, self.leaf, share, retain_graph=True)
        return gradient


@dataclass(frozen=True)
class Weighted:
    """An operation linear in x with weight and bias: convolution, its transpose, or a linear layer.

    ``z`` is its output. ``run`` is the operation as it was run, whose output's channels z scales by ``factor`` (C,) and
    shifts, where a batch normalisation follows. ``is_positive`` tells that no value of x is below 0.
    """

    x: Tensor
    weight: Tensor
    bias: Tensor | None
    apply: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    run: _Run
    z: Tensor
    is_dense: bool
    sees_image: bool
    is_positive: bool
    factor: Tensor | None = None

    def scaled(self, factor: Tensor, shift: Tensor) -> "Weighted":
        """Return the operation whose output's channels are multiplied by a factor and shifted, both (C,)."""
        weight = self.weight * factor.view(-1, *[1] * (self.weight.ndim - 1))
        bias = shift if self.bias is None else self.bias * factor + shift
        z = self.z * self._by_channel(factor) + self._by_channel(shift)
        return replace(self, weight=weight, bias=bias, z=z, factor=factor)

    def of(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> _Run:
        """Run the operation with another input and other weights."""
        return _run(self.apply, x, weight, bias)

    def back(self, share: Tensor) -> Tensor:
        """Return the transposed operation's output of ``share``, without running it anew."""
        return self.run.back(share if self.factor is None else share * self._by_channel(self.factor))

    def without_bias(self) -> Tensor:
        """Return z less the bias."""
        return self.z if self.bias is None else self.z - self._by_channel(self.bias)

    def _by_channel(self, values: Tensor) -> Tensor:
        """Return values (C,) so that they meet the output's channels: the last axis of a linear layer's."""
        return values if self.is_dense else values.view(-1, *[1] * (self.weight.ndim - 2))


def run_weighted(
    x: Tensor,
    parameters: tuple[Tensor, Tensor | None],
    apply: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    *,
    is_dense: bool,
    sees_image: bool,
    is_positive: bool,
) -> Weighted:
    """Run an operation with its weight and bias, and return it."""
    run = _run(apply, x, *parameters)
    return Weighted(x, *parameters, apply, run, run.output.detach(), is_dense, sees_image, is_positive)


def divided_by_rule(made: Weighted, rules: Rules, *, is_read: Callable[[], bool]) -> _Send:
    """Return what sends relevance on by the rule of this operation's kind.

    ``is_read`` tells, once the forward is over, whether anything but a ReLU reads what is below 0 of the output: else
    no relevance arrives there.
    """
    kind = rules.dense if made.is_dense else rules.convolution
    kind = rules.first or kind if made.sees_image else kind
    return _RULES[kind](made, rules, is_read)


def _run(
    apply: Callable[[Tensor, Tensor, Tensor | None], Tensor], x: Tensor, weight: Tensor, bias: Tensor | None
) -> _Run:
    leaf = x.detach().requires_grad_()
    with torch.enable_grad():
        return _Run(leaf, apply(leaf, weight, bias))


def _by_epsilon(made: Weighted, rules: Rules, _is_read: Callable[[], bool]) -> _Send:
    """R_i = sum_j x_i w_ij / (z_j + epsilon) R_j: Bach et al. 2015, the bias among the terms of z."""
    return lambda relevance: made.run.leaf.detach() * made.back(relevance / stabilised(made.z, rules.epsilon))


def _positive(made: Weighted) -> tuple[Tensor, _Send]:
    """Return the sums of the positive terms x+ w+ + x- w- + b+ of each output, and what shares of them are worth to x.

    Where no x is below 0 there are no terms of the second kind, and the operation for them is not run.
    """
    bias = None if made.bias is None else made.bias.clamp(min=0)
    x = made.x if made.is_positive else made.x.clamp(min=0)
    runs = [made.of(x, made.weight.clamp(min=0), bias)]
    if not made.is_positive:
        runs.append(made.of(made.x.clamp(max=0), made.weight.clamp(max=0)))

    def back(share: Tensor) -> Tensor:
        parts = [run.leaf.detach() * run.back(share) for run in runs]
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    sums = [run.output.detach() for run in runs]
    return sums[0] if len(sums) == 1 else sums[0] + sums[1], back


def _by_zplus(made: Weighted, rules: Rules, _is_read: Callable[[], bool]) -> _Send:
    """R_i = sum_j (x_i w_ij)+ / (sum_i (x_i w_ij)+ + b_j+) R_j: alpha 1, beta 0."""
    positive = _Once(lambda: _positive(made))

    def send(relevance: Tensor) -> Tensor:
        sums, back = positive.value
        return back(relevance / stabilised(sums, rules.epsilon))

    return send


def _by_gamma(made: Weighted, rules: Rules, is_read: Callable[[], bool]) -> _Send:
    """Weigh the terms of the output's own sign by 1 + gamma: Montavon et al. 2019, for inputs of both signs.

    With p the positive terms and n = z - p the negative, the denominator is z + gamma p where z is above 0 and
    z + gamma n where it is below.
    """
    favoured = _Once(lambda: _favouring_positive(made, rules.gamma))

    def send(relevance: Tensor) -> Tensor:
        sums, back = favoured.value
        above = torch.where(made.z > 0, relevance / stabilised(sums, rules.epsilon), 0)
        if not is_read():
            return back(above)
        rest = (2 + rules.gamma) * made.z - sums  # z + gamma n
        below = torch.where(made.z < 0, relevance / stabilised(rest, rules.epsilon), 0)
        return back(above - below) + (2 + rules.gamma) * made.run.leaf.detach() * made.back(below)

    return send


def _favouring_positive(made: Weighted, gamma: float) -> tuple[Tensor, _Send]:
    """Return z + gamma p of each output, p its positive terms, and what shares of it are worth to x."""
    if made.is_positive:  # x (w + gamma w+) is all of it in one operation
        weight = made.weight + gamma * made.weight.clamp(min=0)
        bias = None if made.bias is None else made.bias + gamma * made.bias.clamp(min=0)
        whole = made.of(made.x, weight, bias)
        return whole.output.detach(), lambda share: whole.leaf.detach() * whole.back(share)
    sums, back = _positive(made)
    return made.z + gamma * sums, lambda share: made.run.leaf.detach() * made.back(share) + gamma * back(share)


def _by_flat(made: Weighted, rules: Rules, _is_read: Callable[[], bool]) -> _Send:
    """R_i = sum_j R_j / (how many inputs j sees): each of them the same."""
    counted = _Once(lambda: made.of(torch.ones_like(made.x), torch.ones_like(made.weight)))
    return lambda relevance: counted.value.back(relevance / stabilised(counted.value.output.detach(), rules.epsilon))


def _by_box(made: Weighted, rules: Rules, _is_read: Callable[[], bool]) -> _Send:
    """R_i = sum_j (x_i w_ij - l w_ij+ - h w_ij-) / (the sum of these) R_j, l and h the sample's least and largest."""
    edges = (len(made.x), *[1] * (made.x.ndim - 1))
    low, high = (edge.view(edges).expand_as(made.x) for edge in made.x.detach().flatten(1).aminmax(dim=1))
    bounds = _Once(lambda: (made.of(low, made.weight.clamp(min=0)), made.of(high, made.weight.clamp(max=0))))

    def send(relevance: Tensor) -> Tensor:
        lowest, highest = bounds.value
        sums = made.without_bias() - lowest.output.detach() - highest.output.detach()
        share = relevance / stabilised(sums, rules.epsilon)
        # x w = x w+ + x w-: the transposed of w itself is the sum of theirs
        return (made.x.detach() - low) * lowest.back(share) + (made.x.detach() - high) * highest.back(share)

    return send


_RULES: Mapping[LinearRule, Callable[[Weighted, Rules, Callable[[], bool]], _Send]] = {
    "epsilon": _by_epsilon,
    "zplus": _by_zplus,
    "gamma": _by_gamma,
    "flat": _by_flat,
    "box": _by_box,
}
