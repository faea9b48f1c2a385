"""The rules of attention: how relevance passes products of two values, a softmax and a layer normalisation.

From Achtibat et al., ICML 2024: the first terms of a Taylor expansion of each operation, so that relevance is conserved
up to what a softmax keeps as its bias.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from cam.procedures.linear_rules import Rules
from cam.procedures.relevance_rules import RelevanceAccount, RelevanceTable, named_rules
from cam.procedures.rewriting import Operation, Rule

__all__ = ["attention_rules"]

_PRODUCTS = """mul multiply __mul__ __rmul__ matmul __matmul__ __rmatmul__ mm bmm einsum"""
_UNKNOWN = ("bias_k", "bias_v", "key_padding_mask", "attn_mask", "static_k", "static_v")


def attention_rules(rules: Rules, image: Tensor, account: Callable[[], RelevanceAccount]) -> dict[str, Rule]:
    """Return the rules by the operations' names for a forward on ``image``: those of ``relevance_rules``, and these."""
    table = _AttentionTable(rules, image, account)
    named: dict[str, Rule] = dict.fromkeys(_PRODUCTS.split(), table.multiplied)
    named |= {"softmax": table.weighed, "layer_norm": table.normalised}
    named |= {"scaled_dot_product_attention": table.attended, "multi_head_attention_forward": table.attended_by_heads}
    return named_rules(table, named)


class _AttentionTable(RelevanceTable):
    """The rules of one forward, with those of attention."""

    def multiplied(self, operation: Operation) -> Tensor:
        """Give two factors that depend on the image half each: R_ij = A_ij sum_p V_jp R_ip / (2 O_ip), and so for V."""
        if len(operation.given) != 2:
            return self.scaled(operation)
        leaves = operation.leaves()
        with torch.enable_grad():
            z = operation.on(leaves)
        return self.divided(z, leaves, operation.given, factors=2)

    def weighed(self, operation: Operation) -> Tensor:
        """Hand on through s = softmax(x): R_i = x_i (R_i - s_i sum_j R_j)."""
        (x,) = operation.leaves()
        s = operation.on([x]).detach()
        axis = operation.argument(1, "dim")
        if axis is None:
            raise ValueError(f"a softmax whose axis is not stated has no rule, in {operation.module}")
        values = torch.where(torch.isfinite(x.detach()), x.detach(), 0)  # what a mask closes has no part

        def send(relevance: Tensor) -> tuple[Tensor, ...]:
            return (values * (relevance - s * relevance.sum(dim=axis, keepdim=True)),)

        return self.carried(s, send, operation.given)

    def normalised(self, operation: Operation) -> Tensor:
        """Take the spread of a layer normalisation for a constant: what is left is linear in x."""
        (x,) = operation.leaves()
        shape, weight, bias = operation.argument(1, "normalized_shape"), *map(operation.argument, (2, 3), _AFFINE)
        axes = tuple(range(-len(shape), 0))
        spread = (x.detach().var(dim=axes, correction=0, keepdim=True) + operation.argument(4, "eps", 1e-5)).rsqrt()
        with torch.enable_grad():
            z = (x - x.mean(dim=axes, keepdim=True)) * spread
            z = z if weight is None else z * weight.detach()
            z = z if bias is None else z + bias.detach()
        return self.divided(z, (x,), operation.given)

    def attended(self, operation: Operation) -> Tensor:
        """Take torch's fused attention apart into its products and its softmax."""
        query, key, value, mask = (operation.argument(place, name) for place, name in enumerate(_FUSED))
        if any(
            operation.argument(place, name) for place, name in ((4, "dropout_p"), (5, "is_causal"), (7, "enable_gqa"))
        ):
            raise ValueError(f"a causal, grouped or random attention has no rule, in {operation.module}")
        scale = operation.argument(6, "scale")
        with operation.again():
            scores = (query @ key.transpose(-2, -1)) * (query.shape[-1] ** -0.5 if scale is None else scale)
            if mask is not None:
                allowed = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, -torch.inf)
                scores = scores + (allowed.to(query.dtype) if mask.dtype is torch.bool else mask)
            mixed: Tensor = scores.softmax(dim=-1) @ value
            return mixed

    def attended_by_heads(self, operation: Operation) -> tuple[Tensor, None]:
        """Take torch's multi-head attention (L, N, E) apart, as its documentation has it."""
        query, key, value = operation.args[:3]
        heads, weight, bias = operation.args[4:7]
        out, shift = operation.args[11:13]
        stated = dict(zip(("bias_k", "bias_v"), operation.args[7:9], strict=True)) | dict(operation.kwargs)
        unknown = [name for name in _UNKNOWN if stated.get(name) is not None]
        if unknown or weight is None or operation.args[9] or stated.get("use_separate_proj_weight"):
            raise ValueError(
                f"an attention with {unknown or 'projections of different sizes'} has no rule, in {operation.module}"
            )
        weights, biases = weight.chunk(3), (None, None, None) if bias is None else bias.chunk(3)
        with operation.again():
            projected = [functional.linear(*given) for given in zip((query, key, value), weights, biases, strict=True)]
            parts = [each.reshape(len(each), each.shape[1] * heads, -1).transpose(0, 1) for each in projected]
            scores = parts[0] @ parts[1].transpose(1, 2) * parts[0].shape[2] ** -0.5
            mixed = (scores.softmax(dim=-1) @ parts[2]).transpose(0, 1).reshape(projected[0].shape)
            return functional.linear(mixed, out, shift), None


_AFFINE = ("weight", "bias")
_FUSED = ("query", "key", "value", "attn_mask")
