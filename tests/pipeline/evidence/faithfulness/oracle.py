"""Insertion minus deletion a second way: slow, NumPy, one picture and one order at a time, in double precision."""

from itertools import product

import numpy as np


def block_of(place, shape, per_axis=4):
    """Return a voxel's block: an axis of n blocks is cut after each n-th of its side."""
    number = 0
    for index, side in zip(place, shape, strict=True):
        count = min(per_axis, side)
        number = number * count + int(index * count / side + 1e-9)
    return number


def blurred(image):
    """Blur (C, *S) by weights written out, one voxel at a time, from the voxels that exist."""
    out = np.zeros_like(image, dtype=np.float64)
    shape = image.shape[1:]
    places = list(product(*map(range, shape)))
    for here in places:
        total, weight = np.zeros(len(image)), 0.0
        for there in places:
            apart = sum(((a - b) / (side / 8)) ** 2 for a, b, side in zip(here, there, shape, strict=True))
            share = np.exp(-apart / 2)
            total += share * image[(slice(None), *there)]
            weight += share
        out[(slice(None), *here)] = total / weight
    return out


def with_blocks(image, other, kept):
    """Return the picture with the blocks in ``kept`` of ``image``, the others of ``other``."""
    out = other.copy()
    for place in product(*map(range, image.shape[1:])):
        if block_of(place, image.shape[1:]) in kept:
            out[(slice(None), *place)] = image[(slice(None), *place)]
    return out


def curves(image, order, score, steps=8):
    """Return insertion, deletion, and their area, of an order of blocks."""
    other, blocks = blurred(image), len(order)
    ends = [round(number * blocks / steps) for number in range(steps + 1)]
    insertion = [score(with_blocks(image, other, set(order[:end]))) for end in ends]
    deletion = [score(with_blocks(image, other, set(order[end:]))) for end in ends]
    area = 0.0
    for number in range(steps):
        width = (ends[number + 1] - ends[number]) / blocks
        above = [insertion[number + side] - deletion[number + side] for side in (0, 1)]
        area += width * sum(above) / 2
    return insertion, deletion, area
