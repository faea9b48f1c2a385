"""Oracles of the methods that follow attention: weights and outputs by hand from the parameters, entry by entry.

The gradient by a weight is taken by central differences: the attention's output is made from weights of which one is
moved, and the score is read again.
"""

import numpy as np
import torch
from torch import nn

from tests.cam.networks import ATTENTIVE
from tests.oracles.base import oracle, score_of


class Attention:
    """One attention of one sample: its weights (heads, N, N), and its output from other weights."""

    def __init__(self, block, tokens):
        self.block, self.torch_own = block, isinstance(block, nn.MultiheadAttention)
        weight = (block.in_proj_weight if self.torch_own else block.qkv.weight).detach().numpy()
        bias = block.in_proj_bias if self.torch_own else block.qkv.bias
        bias = np.zeros(len(weight)) if bias is None else bias.detach().numpy()
        heads, width = block.num_heads, len(weight) // 3
        size = width // heads
        self.values, self.queries, self.keys, rows = [], [], [], []
        for head in range(heads):
            parts = []
            for which in range(3):
                start = which * width + head * size
                parts.append(tokens @ weight[start : start + size].T + bias[start : start + size])
            query, key, value = parts
            rows.append(
                [softmax([query[i] @ key[j] / np.sqrt(size) for j in range(len(tokens))]) for i in range(len(tokens))]
            )
            self.values.append(value)
            self.queries.append(query)
            self.keys.append(key)
        self.weights = np.array(rows)

    def mixed(self, weights):
        return np.concatenate([one @ value for one, value in zip(weights, self.values, strict=True)], axis=1)

    def output(self, weights, moved=0.0):
        project, mixed = self.block.out_proj, self.mixed(weights) + moved
        return mixed @ project.weight.detach().numpy().T + project.bias.detach().numpy()


def softmax(scores):
    powers = np.exp(np.array(scores) - max(scores))
    return powers / powers.sum()


def is_attention(module):
    return isinstance(module, nn.MultiheadAttention) or type(module).__name__ == "SABlock"


def attentions(case):
    """Return the model's attentions with what they see in this sample, in their order."""
    blocks = [module for module in case.model.modules() if is_attention(module)]
    seen = {}
    hooks = [
        block.register_forward_pre_hook(lambda block, given: seen.update({block: given[0][0].numpy()}))
        for block in blocks
    ]
    case.score(case.x)
    for hook in hooks:
        hook.remove()
    return [Attention(block, seen[block]) for block in blocks]


def score_with(case, attention, weights, skipped=(), moved=0.0):
    output = torch.from_numpy(attention.output(weights, moved))[None]
    skips = [block.register_forward_hook(lambda _block, given, _output: given[0]) for block in skipped]
    hook = attention.block.register_forward_hook(lambda *_: (output, None) if attention.torch_own else output)
    try:
        with torch.no_grad():
            return score_of(case.model(case.x), case.label)
    finally:
        for handle in (hook, *skips):
            handle.remove()


def slopes(case, attention, step=1e-6, skipped=()):
    """Return d score / d weight (heads, N, N)."""
    found = np.zeros(attention.weights.shape)
    for index in np.ndindex(*found.shape):
        ends = []
        for sign in (1, -1):
            moved = attention.weights.copy()
            moved[index] += sign * step
            ends.append(score_with(case, attention, moved, skipped))
        found[index] = (ends[0] - ends[1]) / (2 * step)
    return found


def mapped(case, relevance):
    """The row of the class token, or the mean of all rows where the network pools, on the grid of the patches."""
    axes = case.x.ndim - 2
    shape = {2: (3, 2), 3: (2, 2, 1)}[axes]
    has_class_token = hasattr(getattr(case.model, "network", None), "cls_token")
    row = relevance[0, 1:] if has_class_token else relevance.mean(axis=0)
    result = np.zeros(shape)
    for number, place in enumerate(np.ndindex(*shape)):
        result[place] = row[number]
    return result


@oracle("attention_rollout", kinds=ATTENTIVE)
def attention_rollout(case):
    """Abnar and Zuidema: A = 0.5 W + 0.5 I, re-normalised; rollout(l) = A(l) rollout(l - 1)."""
    product = None
    for attention in attentions(case):
        size = attention.weights.shape[1]
        step = np.zeros((size, size))
        for i, j in np.ndindex(size, size):
            step[i, j] = 0.5 * sum(head[i, j] for head in attention.weights) / len(attention.weights) + 0.5 * (i == j)
        step = np.array([row / sum(row) for row in step])
        product = step if product is None else step @ product
    return mapped(case, product)


@oracle("attention_relevance", kinds=ATTENTIVE, tolerance=1e-5)
def attention_relevance(case):
    """Chefer et al., the rule for self-attention: A = E_h((dA x A)^+); R = R + A R, from R = I."""
    relevance = None
    for attention in attentions(case):
        slope, size = slopes(case, attention), attention.weights.shape[1]
        flow = np.zeros((size, size))
        for i, j in np.ndindex(size, size):
            products = [max(slope[h, i, j] * attention.weights[h, i, j], 0.0) for h in range(len(slope))]
            flow[i, j] = sum(products) / len(products)
        relevance = np.eye(size) if relevance is None else relevance
        relevance = relevance + flow @ relevance
    return mapped(case, relevance)


@oracle("legrad", kinds=ATTENTIVE, options={"last": 2}, tolerance=1e-5)
def legrad(case):
    """Bousselham et al.: the mean over layers, heads and rows of the positive slopes of each layer's own score."""
    network = getattr(case.model, "network", None)
    blocks = list(case.model.encoder.layers if network is None else network.blocks)
    layers = attentions(case)
    size = layers[0].weights.shape[1]
    relevance = np.zeros((size, size))
    for number, attention in enumerate(layers):
        slope = slopes(case, attention, skipped=blocks[number + 1 :])
        for head, i, j in np.ndindex(*slope.shape):
            relevance[:, j] += max(slope[head, i, j], 0) / (len(layers) * len(slope) * size)  # each row the same
    return mapped(case, relevance)


@oracle("grad_eclip", kinds=("vit",), tolerance=1e-5)
def grad_eclip(case):
    """Zhao et al.: the gradient at the class token's attention output times each patch's value, by likeness."""
    attention = attentions(case)[-1]
    values, queries, keys = (
        np.concatenate(parts, axis=1) for parts in (attention.values, attention.queries, attention.keys)
    )
    slope = np.zeros(values.shape[1])
    for channel in range(len(slope)):
        moved = np.zeros_like(values)
        moved[0, channel] = 1e-6
        up, down = (score_with(case, attention, attention.weights, moved=sign * moved) for sign in (1, -1))
        slope[channel] = (up - down) / 2e-6
    likeness = [queries[0] @ key / np.linalg.norm(queries[0]) / np.linalg.norm(key) for key in keys[1:]]
    likeness = (np.array(likeness) - min(likeness)) / (max(likeness) - min(likeness))
    row = np.concatenate(
        [[0], [max(share * (slope @ value), 0) for share, value in zip(likeness, values[1:], strict=True)]]
    )
    return mapped(case, np.stack([row] * len(values)))
