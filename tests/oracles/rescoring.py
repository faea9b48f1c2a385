"""Oracles of the methods that run the network again on changed inputs or activations: one forward at a time."""

import itertools
import math

import numpy as np
import torch

from tests.oracles.base import oracle, positions


def interpolated(cells, places) -> float:
    """Return the value of a grid at a place given in cells, linear between cell centres, constant beyond the last."""
    corners = []
    for place, side in zip(places, cells.shape, strict=True):
        place = min(max(place, 0.0), side - 1.0)
        low = math.floor(place)
        corners.append([(low, 1 - (place - low)), (min(low + 1, side - 1), place - low)])
    return sum(
        cells[tuple(index for index, _ in corner)] * math.prod(share for _, share in corner)
        for corner in itertools.product(*corners)
    )


def enlarged(cells, shape) -> np.ndarray:
    """Return a grid whose cells tile the shape edge to edge, voxel by voxel."""
    result = np.zeros(shape)
    for voxel in np.ndindex(*shape):
        places = [(v + 0.5) * c / s - 0.5 for v, c, s in zip(voxel, cells.shape, shape, strict=True)]
        result[voxel] = interpolated(cells, places)
    return result


def score_through(case, mask) -> float:
    return case.score(case.x * torch.from_numpy(mask))


def masks_of(case, activation):
    """H_k of Score-CAM's algorithm 1: upsampled first, then (v - min) / (max - min); 0 for a constant channel."""
    masks = []
    for channel in activation:
        mask = enlarged(channel, case.x.shape[2:])
        spread = mask.max() - mask.min()
        masks.append((mask - mask.min()) / spread if channel.max() > channel.min() else np.zeros_like(mask))
    return masks


def softmax_sum(activation, scores):
    """ReLU(sum_k alpha_k A_k), alpha = exp(S_k) / sum_j exp(S_j)."""
    powers = [math.exp(score - max(scores)) for score in scores]
    result = np.zeros(activation.shape[1:])
    for channel, power in zip(activation, powers, strict=True):
        result += power / sum(powers) * channel
    return np.where(result > 0, result, 0.0)


@oracle("scorecam")
def scorecam(case):
    """Algorithm 1 of Wang et al. with the baseline's score, taken at an empty image, not left out."""
    baseline = case.score(torch.zeros_like(case.x))
    scores = [score_through(case, mask) - baseline for mask in masks_of(case, case.activation)]
    return softmax_sum(case.activation, scores)


@oracle("faster_scorecam", options={"count": 2})
def faster_scorecam(case):
    """Score-CAM of the channels of largest variance."""
    variances = [((channel - channel.mean()) ** 2).mean() for channel in case.activation]
    best = sorted(range(len(variances)), key=lambda channel: (-variances[channel], channel))[: case.options["count"]]
    chosen = case.activation[best]
    return softmax_sum(chosen, [score_through(case, mask) for mask in masks_of(case, chosen)])


@oracle("sscam", options={"samples": 4, "deviation": 0.5, "seed": 3})
def sscam(case):
    """Naidu et al.: S_k = 1/N sum_i f(X (H_k + d_i)) - f(X_b), the same d_i for each k."""
    count, shape = case.options["samples"], case.x.shape[2:]
    generator = torch.Generator().manual_seed(case.options["seed"])
    noises = case.options["deviation"] * torch.randn(count, *shape, generator=generator).numpy().astype(float)
    baseline = case.score(torch.zeros_like(case.x))
    scores = []
    for mask in masks_of(case, case.activation):
        total = 0.0
        for noise in noises:
            total += score_through(case, mask + noise)
        scores.append(total / count - baseline)
    return softmax_sum(case.activation, scores)


@oracle("iscam", options={"steps": 4})
def iscam(case):
    """Naidu et al.: S_k = 1/N sum_i f(X (i/N) H_k) - f(X_b), i = 1..N."""
    steps = case.options["steps"]
    baseline = case.score(torch.zeros_like(case.x))
    scores = []
    for mask in masks_of(case, case.activation):
        total = 0.0
        for step in range(1, steps + 1):
            total += score_through(case, mask * step / steps)
        scores.append(total / steps - baseline)
    return softmax_sum(case.activation, scores)


@oracle("ablationcam")
def ablationcam(case):
    """Desai and Ramaswamy: w_k = (y - y_k) / y, channel k set to zero; L = ReLU(sum_k w_k A_k)."""
    y = case.score(case.x)
    result = np.zeros(case.activation.shape[1:])
    for channel in range(len(case.activation)):
        without = case.activation.copy()
        without[channel] = 0
        result += (y - case.score_with(without)) / y * case.activation[channel]
    return np.where(result > 0, result, 0.0)


@oracle("reciprocam")
def reciprocam(case):
    """Byun and Lee: the score of the layer masked to one position, for each position."""
    result = np.zeros(case.activation.shape[1:])
    for place in positions(case.activation):
        alone = np.zeros_like(case.activation)
        alone[(slice(None), *place)] = case.activation[(slice(None), *place)]
        result[place] = case.score_with(alone)
    return result


@oracle("occlusion", options={"patch": 3, "stride": 2, "baseline": 0.25})
def occlusion(case):
    """Zeiler and Fergus: what the score loses when a patch is covered, averaged over a voxel's patches."""
    shape, options = case.x.shape[2:], case.options
    starts = []
    for side in shape:
        ones = [0]
        while ones[-1] + options["patch"] < side:
            ones.append(ones[-1] + options["stride"])
        starts.append(ones)
    losses = {voxel: [] for voxel in np.ndindex(*shape)}
    for start in itertools.product(*starts):
        patch = tuple(slice(one, one + options["patch"]) for one in start)
        covered = case.x.clone()
        covered[(slice(None), slice(None), *patch)] = options["baseline"]
        loss = case.score(case.x) - case.score(covered)
        for voxel, found in losses.items():
            if all(one <= v < one + options["patch"] for one, v in zip(start, voxel, strict=True)):
                found.append(loss)
    result = np.zeros(shape)
    for voxel, found in losses.items():
        result[voxel] = sum(found) / len(found)
    return result


@oracle("rise", options={"count": 12, "cells": 2, "probability": 0.4, "seed": 5})
def rise(case):
    """Petsiuk et al., equation 6: 1/(N E[M]) sum_i f(I M_i) M_i, masks as in section 3.2."""
    options, shape = case.options, tuple(case.x.shape[2:])
    count, cells, chance = options["count"], options["cells"], options["probability"]
    generator = torch.Generator().manual_seed(options["seed"])
    grids = (torch.rand(count, *[cells] * len(shape), generator=generator) < chance).double().numpy()
    sizes = [math.ceil(side / cells) for side in shape]
    moves = [torch.randint(size, (count, 1), generator=generator)[:, 0].tolist() for size in sizes]
    result = np.zeros(shape)
    for number, grid in enumerate(grids):
        large = enlarged(grid, tuple((cells + 1) * size for size in sizes))
        cut = tuple(slice(move[number], move[number] + side) for move, side in zip(moves, shape, strict=True))
        result += score_through(case, large[cut]) * large[cut]
    return result / (count * chance)
