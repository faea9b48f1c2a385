"""Oracle of layer-wise relevance propagation: every linear layer as a matrix, every share written out.

A layer is looked up in the list of the network's leaf modules and turned into its matrix by unit inputs; no gradient
is taken anywhere.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from tests.cam.networks import ATTENTIVE
from tests.oracles.base import oracle

POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WEIGHTS = (*CONVOLUTIONS, nn.Linear)
RULES = {
    "epsilon": ("epsilon", "epsilon", None),
    "zplus": ("zplus", "zplus", None),
    "gamma": ("gamma", "gamma", None),
    "epsilon_plus": ("zplus", "epsilon", None),
    "epsilon_plus_flat": ("zplus", "epsilon", "flat"),
    "epsilon_gamma_box": ("gamma", "epsilon", "box"),
}


def chain_of(case) -> list:
    """Return the leaf modules in their order with what each of them sees of the sample."""
    shown, pairs = case.x, []
    with torch.no_grad():
        for module in (module for module in case.model.modules() if not list(module.children())):
            pairs.append((module, shown))
            shown = module(shown.clone())
    return [*pairs, (None, shown)]


def matrix_of(module, shape) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrix (outputs, inputs) and the bias (outputs,) of a layer that is linear in inputs of this shape."""
    size = int(np.prod(shape))
    with torch.no_grad():
        bias = module(torch.zeros(1, *shape, dtype=torch.float64)).flatten()
        units = module(torch.eye(size, dtype=torch.float64).reshape(size, *shape)).reshape(size, -1)
    return (units - bias).T.numpy(), bias.numpy()


def away_from_zero(value, epsilon) -> float:
    return value + epsilon if value >= 0 else value - epsilon


def share(rule, values, weights, bias, options, edges) -> np.ndarray:
    """Return what each input gets of one output's relevance 1, whose weights (inputs,) and bias these are."""
    epsilon, gamma = options["epsilon"], options["gamma"]
    terms = values * weights
    if rule == "epsilon":
        return terms / away_from_zero(terms.sum() + bias, epsilon)
    if rule == "zplus":
        return np.maximum(terms, 0) / away_from_zero(np.maximum(terms, 0).sum() + max(bias, 0), epsilon)
    if rule == "gamma":
        z = terms.sum() + bias
        sign = np.sign(z)
        favoured = terms + gamma * np.where(terms * sign > 0, terms, 0)
        return abs(sign) * favoured / away_from_zero(favoured.sum() + bias + gamma * bias * (bias * sign > 0), epsilon)
    if rule == "flat":
        seen = (weights != 0).astype(float)
        return seen / away_from_zero(seen.sum(), epsilon)
    low, high = edges
    boxed = terms - low * np.maximum(weights, 0) - high * np.minimum(weights, 0)
    return boxed / away_from_zero(boxed.sum(), epsilon)


def shares_of(rule, values, layer, options) -> np.ndarray:
    """Return the relevance of the inputs (inputs,) for outputs (outputs,): a matrix of shares."""
    weights, bias = layer
    edges = values.min(), values.max()
    return np.stack(
        [share(rule, values, row, offset, options, edges) for row, offset in zip(weights, bias, strict=True)]
    )


def relevance_of(case, channel_of=None) -> np.ndarray:
    """Return the relevance (C, *S) of the image, or of it what passes the channel ``channel_of(sums)`` of ``layer``."""
    options = {"epsilon": 1e-6, "gamma": 0.25, "composite": "epsilon_plus"} | case.options
    convolution, dense, first = RULES[options["composite"]]
    pairs = chain_of(case)
    logits = pairs[-1][1].flatten().numpy()
    relevance = np.zeros(len(logits))
    if len(logits) == 1:
        relevance[0] = logits[0] if case.label == 1 else -logits[0]
    else:
        relevance[case.label] = logits[case.label]
    place = next(number for number, (module, _) in enumerate(pairs) if isinstance(module, WEIGHTS))
    for number, (module, shown) in reversed(list(enumerate(pairs[:-1]))):
        values = shown.flatten().numpy()
        if isinstance(module, (*WEIGHTS, *POOLS)):
            rule = convolution if isinstance(module, CONVOLUTIONS) else dense
            rule = first or rule if number == place else rule
            rule = "epsilon" if isinstance(module, POOLS) else rule
            relevance = relevance @ shares_of(rule, values, matrix_of(module, shown.shape[1:]), options)
        if channel_of is not None and module is case.model.act:  # what the layer hands on
            by_channel = relevance.reshape(shown.shape[1], -1)
            kept = np.zeros_like(by_channel)
            chosen = channel_of(by_channel.sum(axis=1))
            kept[chosen] = by_channel[chosen]
            relevance = kept.flatten()
    return relevance.reshape(case.x.shape[1:])


@oracle("lrp", options={"composite": "epsilon_gamma_box", "gamma": 0.4})
def lrp(case):
    """Bach et al. 2015, Montavon et al. 2019: layer by layer; an activation passes its relevance on."""
    return relevance_of(case).sum(axis=0)


@oracle("concept_relevance", options={"composite": "epsilon_plus_flat"})
def concept_relevance(case):
    """Achtibat et al., equation 3: relevance of the other channels is set to 0 on the way."""
    return relevance_of(case, lambda sums: int(np.argmax(sums))).sum(axis=0)


def multipliers_of(case, reference) -> np.ndarray:
    """Return DeepLIFT's multipliers (C, *S) from a reference (1, C, *S): layer by layer, from both forwards."""
    pairs, others = chain_of(case), chain_of(replace(case, x=reference))
    outputs = pairs[-1][1].shape[1]
    multiplier = np.zeros(outputs)
    multiplier[case.label if outputs > 1 else 0] = 1 if outputs > 1 or case.label == 1 else -1
    for number in reversed(range(len(pairs) - 1)):
        module, shown = pairs[number]
        if isinstance(module, (*WEIGHTS, *POOLS)):
            multiplier = multiplier @ matrix_of(module, shown.shape[1:])[0]
        elif isinstance(module, nn.ReLU):
            below = shown.flatten().numpy() - others[number][1].flatten().numpy()
            above = np.maximum(shown.flatten().numpy(), 0) - np.maximum(others[number][1].flatten().numpy(), 0)
            slope = (shown.flatten().numpy() > 0).astype(float)
            multiplier = multiplier * np.array(
                [a / b if abs(b) > 1e-9 else s for a, b, s in zip(above, below, slope, strict=True)]
            )
    return multiplier.reshape(case.x.shape[1:])


def contributions_of(case, reference) -> np.ndarray:
    contributions = (case.x - reference)[0].numpy() * multipliers_of(case, reference)
    assert abs(contributions.sum() - (case.score(case.x) - case.score(reference))) < 1e-8, "summation to delta"
    return contributions.sum(axis=0)


@oracle("deeplift", options={"baseline": 0.3})
def deeplift(case):
    """Shrikumar et al., section 3.5.1: the chain of multipliers, a ReLU's by the quotient of differences."""
    return contributions_of(case, torch.full_like(case.x, case.options["baseline"]))


@oracle("deeplift_shap", options={"heights": 3})
def deeplift_shap(case):
    """Lundberg and Lee: the mean of DeepLIFT over blank images from the darkest to the brightest value."""
    low, high = float(case.x.min()), float(case.x.max())
    blanks = [torch.full_like(case.x, float(height)) for height in np.linspace(low, high, case.options["heights"])]
    return sum(contributions_of(case, blank) for blank in blanks) / len(blanks)


class HandedBack:
    """A value of a forward by hand with how its relevance goes on: ``back`` takes it down to the image's tokens."""

    def __init__(self, values, back):
        self.values, self.back = values, back


def divided(terms, z) -> np.ndarray:
    """Return the shares of terms (inputs, outputs) in outputs z (outputs,), entry by entry; no stabiliser."""
    return terms / np.where(z == 0, np.inf, z)


def linear(x, layer) -> HandedBack:
    """Each token by itself: R_i = sum_j x_i w_ji / z_j R_j."""
    weight, bias = layer.weight.detach().numpy(), 0 if layer.bias is None else layer.bias.detach().numpy()
    z = x.values @ weight.T + bias

    def back(relevance):
        sent = [divided(np.outer(one, np.ones(len(weight))) * weight.T, out) @ arrived
                for one, out, arrived in zip(x.values, z, relevance, strict=True)]  # fmt: skip
        x.back(np.array(sent))

    return HandedBack(z, back)


def normalised(x, layer) -> HandedBack:
    """z_j = w_j (x_j - mean) / spread + b_j, linear in x where the spread is a number."""
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    size = len(weight)
    spreads = [np.sqrt(((one - one.mean()) ** 2).mean() + layer.eps) for one in x.values]
    z = np.array([weight * (one - one.mean()) / s + bias for one, s in zip(x.values, spreads, strict=True)])

    def back(relevance):
        sent = np.zeros_like(x.values)
        for n, i, j in np.ndindex(len(z), size, size):
            sent[n, i] += x.values[n, i] * weight[j] * ((i == j) - 1 / size) / spreads[n] / z[n, j] * relevance[n, j]
        x.back(sent)

    return HandedBack(z, back)


def activated(x, function) -> HandedBack:
    return HandedBack(function(torch.from_numpy(x.values)).numpy(), x.back)


def added(first, second) -> HandedBack:
    z = first.values + second.values

    def back(relevance):
        first.back(first.values / z * relevance)
        second.back(second.values / z * relevance)

    return HandedBack(z, back)


def multiplied(first, second) -> HandedBack:
    """C = A B: R_ij of A is A_ij sum_p B_jp R_ip / (2 C_ip), and R_jp of B is B_jp sum_i A_ij R_ip / (2 C_ip)."""
    a, b = first.values, second.values
    c = a @ b

    def back(relevance):
        of_a, of_b = np.zeros_like(a), np.zeros_like(b)
        for i, j, p in np.ndindex(*a.shape, b.shape[1]):
            part = a[i, j] * b[j, p] / (2 * c[i, p]) * relevance[i, p]
            of_a[i, j] += part
            of_b[j, p] += part
        first.back(of_a)
        second.back(of_b)

    return HandedBack(c, back)


def weighed(x) -> HandedBack:
    """A softmax of each row: R_i = x_i (R_i - s_i sum_j R_j)."""
    powers = np.exp(x.values - x.values.max(axis=1, keepdims=True))
    s = powers / powers.sum(axis=1, keepdims=True)
    return HandedBack(s, lambda relevance: x.back(x.values * (relevance - s * relevance.sum(axis=1, keepdims=True))))


def shared(x, count) -> list[HandedBack]:
    """Return a value read in so many places; its relevance goes on when all of them have sent theirs."""
    waiting = []

    def back(relevance):
        waiting.append(relevance)
        if len(waiting) == count:
            x.back(sum(waiting))

    return [HandedBack(x.values, back) for _ in range(count)]


def columns(x, start, size) -> HandedBack:
    def back(relevance):
        whole = np.zeros_like(x.values)
        whole[:, start : start + size] = relevance
        x.back(whole)

    return HandedBack(x.values[:, start : start + size], back)


def transposed(x) -> HandedBack:
    return HandedBack(x.values.T, lambda relevance: x.back(relevance.T))


def scaled(x, factor) -> HandedBack:
    return HandedBack(x.values * factor, x.back)


def beside(parts) -> HandedBack:
    ends = np.cumsum([part.values.shape[1] for part in parts])

    def back(relevance):
        for part, end in zip(parts, ends, strict=True):
            part.back(relevance[:, end - part.values.shape[1] : end])

    return HandedBack(np.concatenate([part.values for part in parts], axis=1), back)


def attended(x, block) -> HandedBack:
    """Queries, keys and values in three parts of one projection, each with its heads side by side."""
    if isinstance(block, nn.MultiheadAttention):
        layer = nn.Linear(block.embed_dim, 3 * block.embed_dim)
        layer.weight, layer.bias = block.in_proj_weight, block.in_proj_bias
    else:
        layer = block.qkv
    projected, heads = linear(x, layer), []
    size = projected.values.shape[1] // (3 * block.num_heads)
    places = iter(shared(projected, 3 * block.num_heads))
    for head in range(block.num_heads):
        starts = [(which * block.num_heads + head) * size for which in range(3)]
        query, key, value = (columns(next(places), start, size) for start in starts)
        weights = weighed(scaled(multiplied(query, transposed(key)), size**-0.5))
        heads.append(multiplied(weights, value))
    return linear(beside(heads), block.out_proj)


def block_of_monai(x, block) -> HandedBack:
    x, skip = shared(x, 2)
    x = added(skip, attended(normalised(x, block.norm1), block.attn))
    x, skip = shared(x, 2)
    inner = activated(linear(normalised(x, block.norm2), block.mlp.linear1), nn.functional.gelu)
    return added(skip, linear(inner, block.mlp.linear2))


def block_of_torch(x, block) -> HandedBack:
    x, skip = shared(x, 2)
    x = normalised(added(skip, attended(x, block.self_attn)), block.norm1)
    x, skip = shared(x, 2)
    inner = activated(linear(x, block.linear1), nn.functional.relu)
    return normalised(added(skip, linear(inner, block.linear2)), block.norm2)


@oracle("attnlrp", kinds=ATTENTIVE, options={"epsilon": 1e-12}, tolerance=1e-5)
def attnlrp(case):
    """Achtibat et al., token by token and head by head."""
    network = getattr(case.model, "network", case.model)
    is_monai = network is not case.model
    project = network.patch_embedding.patch_embeddings if is_monai else network.embed
    matrix, bias = matrix_of(project, case.x.shape[1:])
    width, image, sent = project.out_channels, case.x.flatten().numpy(), np.zeros(case.x.numel())

    def onto_image(relevance):  # (tokens, width), as the projection has it: channels first
        share = [divided(row * image, row @ image + b) for row, b in zip(matrix, bias, strict=True)]
        sent[:] += relevance.T.flatten() @ np.array(share)

    tokens = HandedBack((matrix @ image + bias).reshape(width, -1).T, onto_image)
    if is_monai:
        tokens = added(
            tokens, HandedBack(network.patch_embedding.position_embeddings[0].detach().numpy(), lambda _: None)
        )
        first = HandedBack(network.cls_token[0].detach().numpy().T, lambda _: None)
        tokens = transposed(beside([first, transposed(tokens)]))
        for block in network.blocks:
            tokens = block_of_monai(tokens, block)
        tokens = normalised(tokens, network.norm)
        read = transposed(columns(transposed(tokens), 0, 1))
        logits = linear(
            read, next(layer for layer in network.classification_head.modules() if hasattr(layer, "weight"))
        )
    else:
        for block in network.encoder.layers:
            tokens = block_of_torch(tokens, block)
        mean = HandedBack(np.full((1, len(tokens.values)), 1 / len(tokens.values)), lambda _: None)
        z = mean.values @ tokens.values
        mixed = HandedBack(z, lambda relevance: tokens.back(tokens.values / len(tokens.values) / z * relevance))
        logits = linear(mixed, network.head)
    start = np.zeros_like(logits.values)
    start[0, case.label] = logits.values[0, case.label]
    logits.back(start)
    return sent.reshape(case.x.shape[1:]).sum(axis=0)
