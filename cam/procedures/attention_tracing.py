"""Attention weights as the network itself uses them, whoever wrote its modules: traced, not looked up by class.

An attention is a softmax over its last axis whose result multiplies values, or torch's fused kernel for both. The
weights are handed out where they multiply, so what happened to them before (masks, dropout, a cast) is in them; and
the multiplication goes on with those that come back, so that they lie on the path to the logits.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["Tracer"]

Replace = Callable[[str, Tensor], Tensor]

_SOFTMAX = (functional.softmax, torch.softmax, Tensor.softmax)
_FUSED = functional.scaled_dot_product_attention
_PRODUCTS = (torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm)
_STILL_THE_WEIGHTS = frozenset(
    (
        "dropout",
        "to",
        "type_as",
        "type",
        "float",
        "half",
        "bfloat16",
        "double",
        "contiguous",
        "clone",
        "view",
        "reshape",
    )
)


@dataclass
class _Softmax:
    """What a softmax returned, and whether it has multiplied anything."""

    name: str
    values: Tensor
    is_used: bool = False


class Tracer(TorchFunctionMode):
    """Hands the weights (B, heads, N, N) of every attention of one forward to ``replace``, with its module's name.

    ``modules`` are the names of those that run, the innermost last. ``is_paused`` while a module is known otherwise.
    ``traced`` counts the attentions, and ``pooling`` those with one query, which pool and are passed over. Where
    ``only`` names attentions all others are passed over, whatever they attend to: ``passed_over`` tells the shapes of
    their weights. ``queries`` are the name, queries and keys (B, heads, N, d) of the last attention that told them.
    """

    def __init__(self, replace: Replace, batch: int, only: Collection[str] | None = None) -> None:
        super().__init__()
        self._replace, self._batch, self.only = replace, batch, only
        self.passed_over: list[tuple[str, tuple[int, ...]]] = []
        self.modules: list[str] = []
        self.is_paused = 0
        self.traced = self.pooling = 0
        self.queries: tuple[str, Tensor, Tensor] | None = None
        self._made: list[_Softmax] = []
        self._equal: list[tuple[str, Tensor]] = []
        self._known: dict[int, _Softmax] = {}
        self._kept: list[Tensor] = []  # as long as a tensor lives, no other has its id

    def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN204
        kwargs = kwargs or {}
        if self.is_paused:
            return function(*args, **kwargs)
        if function is _FUSED:
            return self._fused(args, kwargs)
        if function in _SOFTMAX:
            return self._softmax(function, args, kwargs)
        weights = self._weights_among(args)
        if weights is None:
            return function(*args, **kwargs)
        if function in _PRODUCTS and args[0] is weights:
            return function(self._handed_out(weights), *args[1:], **kwargs)
        if function is torch.einsum and _contracts(args, weights):
            return function(*(self._handed_out(given) if given is weights else given for given in args), **kwargs)
        made = function(*args, **kwargs)
        if getattr(function, "__name__", "") in _STILL_THE_WEIGHTS and isinstance(made, Tensor):
            self._remember(made, self._known[id(weights)])
        return made

    @property
    def seen(self) -> int:
        """How many attentions there were, those that were passed over too."""
        return self.traced + self.pooling + len(self.passed_over)

    def check(self) -> None:
        """Refuse what looked like an attention and was not used as one.

        Raises:
            ValueError: when weights are changed between their softmax and their values, or an attention returned
                something else than its weights give.
        """
        equal = torch.stack([equal for _, equal in self._equal]).tolist() if self._equal else []  # one wait for all
        for (name, _), is_equal in zip(self._equal, equal, strict=True):
            if not is_equal:
                raise ValueError(
                    f"attention {name!r} does more than its weights and values tell, so it cannot be traced"
                )
        for softmax in self._made if self.only is None else ():
            shape = softmax.values.shape
            if not softmax.is_used and shape[-1] == shape[-2] and shape[0] % self._batch == 0:
                raise ValueError(
                    f"attention {softmax.name!r} changes its weights between the softmax and the values (mixed heads, "
                    "a gate), so what it looked at is not known"
                )

    def compare(self, name: str, recomputed: Tensor, given: Tensor) -> None:
        """Compare what an attention returned with what its weights give; ``check`` refuses more than rounding."""
        allowed = torch.finfo(given.dtype).eps ** 0.5 * given.detach().abs().max()
        self._equal.append((name, (recomputed.detach() - given.detach()).abs().max() <= allowed))

    def _softmax(self, function: Callable[..., Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
        made = function(*args, **kwargs)
        axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
        if made.ndim in (3, 4) and axis in (-1, made.ndim - 1) and made.shape[-1] > 1:
            softmax = _Softmax(self._name, made)
            self._made.append(softmax)
            self._remember(made, softmax)
        return made

    def _fused(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
        output = _FUSED(*args, **kwargs)
        if self.only is not None and self._name not in self.only:
            query, key = [*args, *(kwargs[role] for role in ("query", "key") if role in kwargs)][:2]
            self.passed_over.append((self._name, (query.shape[-2], key.shape[-2])))
            return output
        weights, value = _weights_of(self._name, *args, **kwargs)
        query, key = [*args, *(kwargs[role] for role in ("query", "key") if role in kwargs)][:2]
        self.queries = (self._name, query.detach(), key.detach())
        made = self._traced(weights).to(value.dtype) @ value
        self.compare(self._name, made, output)
        return made

    def _handed_out(self, weights: Tensor) -> Tensor:
        self._known[id(weights)].is_used = True
        return self._traced(weights)

    def _traced(self, weights: Tensor) -> Tensor:
        """Return the weights, in their own shape, that ``replace`` makes of them as (B, heads, N, N)."""
        if self.only is not None and self._name not in self.only:
            self.passed_over.append((self._name, tuple(weights.shape)))
            return weights
        if weights.shape[-2] == 1:
            self.pooling += 1
            return weights
        if weights.shape[-1] != weights.shape[-2]:
            raise ValueError(
                f"attention {self._name!r} attends from {weights.shape[-2]} tokens to {weights.shape[-1]}; known "
                "are those of one sequence to itself"
            )
        self.traced += 1
        by_head = weights
        if weights.ndim == 3 and weights.shape[0] % self._batch == 0:
            by_head = weights.view(self._batch, -1, *weights.shape[1:])
        return self._replace(self._name, by_head).to(weights.dtype).reshape(weights.shape)

    def _weights_among(self, args: Sequence[Any]) -> Tensor | None:
        return next((given for given in args if isinstance(given, Tensor) and id(given) in self._known), None)

    def _remember(self, values: Tensor, softmax: _Softmax) -> None:
        self._known[id(values)] = softmax
        self._kept.append(values)

    @property
    def _name(self) -> str:
        return self.modules[-1] if self.modules else ""


def _contracts(args: Sequence[Any], weights: Tensor) -> bool:
    """Tell whether an einsum sums over the last axis of the weights."""
    equation, *given = args
    place = next((number for number, value in enumerate(given) if value is weights), None)
    if place is None or not isinstance(equation, str) or "->" not in equation:
        return False
    inputs, output = equation.replace(" ", "").split("->")
    return inputs.split(",")[place][-1] not in output


def _weights_of(
    name: str,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return the weights that torch's fused attention forms inside, and the values that they multiply."""
    if dropout_p:
        raise ValueError(f"attention {name!r} draws a dropout of {dropout_p} in evaluation mode")
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = (each.repeat_interleave(groups, -3) for each in (key, value))
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        scores = scores.masked_fill(~seen, -torch.inf)
    if attn_mask is not None:
        boolean = attn_mask.dtype is torch.bool
        scores = scores.masked_fill(~attn_mask, -torch.inf) if boolean else scores + attn_mask
    return scores.softmax(dim=-1), value
