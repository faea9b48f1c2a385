"""Oracle of layer-wise relevance propagation: every linear layer as a matrix, every share written out.

A layer is looked up in the list of the network's leaf modules and turned into its matrix by unit inputs; no gradient
is taken anywhere.
"""

import numpy as np
import torch
from torch import nn

from tests.oracles.base import oracle

POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
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


def relevance_of(case) -> np.ndarray:
    """Return the relevance (C, *S) of the image's values."""
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
    return relevance.reshape(case.x.shape[1:])


@oracle("lrp", options={"composite": "epsilon_gamma_box", "gamma": 0.4})
def lrp(case):
    """Bach et al. 2015, Montavon et al. 2019: layer by layer; an activation passes its relevance on."""
    return relevance_of(case).sum(axis=0)
