"""Oracles of the methods at the input: finite differences at every voxel, and every coalition of supervoxels."""

import functools
import itertools
import math

import numpy as np
import torch
from skimage.segmentation import slic

from cam.methods.gradient_shap import uniform_pairs
from cam.methods.lime import random_coalitions
from cam.methods.smoothgrad import gaussian_fields
from tests.cam.networks import CONVOLUTIONAL
from tests.oracles.base import oracle, score_of
from tests.oracles.gradients import gradcam

STEP = 1e-6
WITH_RELU = tuple(kind for kind in CONVOLUTIONAL if kind != "affine-signed")


def differences(function, at) -> np.ndarray:
    """Return d function / d at by central differences, element by element, from all the moved arrays at once.

    ``function`` takes (n, *at.shape) and returns n numbers.
    """
    moves = STEP * np.eye(at.size).reshape(at.size, *at.shape)
    return ((function(at + moves) - function(at - moves)) / (2 * STEP)).reshape(at.shape)


def input_gradient(case, image) -> np.ndarray:
    """Return d score / d image for an image (C, *S)."""

    def scores(images):
        with torch.no_grad():
            return np.array([score_of(one[None], case.label) for one in case.model(torch.from_numpy(images))])

    return differences(scores, image)


@oracle("saliency")
def saliency(case):
    """Simonyan et al., section 3.1: the derivative at the image, its largest magnitude over colour channels."""
    return np.max(np.abs(input_gradient(case, case.x[0].numpy())), axis=0)


@oracle("smoothgrad", options={"samples": 2, "noise": 0.2, "seed": 5})
def smoothgrad(case):
    """Smilkov et al.: M(x) = 1/n sum M(x + N(0, sigma^2)), sigma a share of the image's range."""
    image = case.x[0].numpy()
    sigma = case.options["noise"] * (image.max() - image.min())
    fields = [one[0].numpy() for one in gaussian_fields(case.x, case.options["samples"], case.options["seed"], 1)]
    total = sum(input_gradient(case, image + sigma * field) for field in fields)
    return np.max(np.abs(total / len(fields)), axis=0)


@oracle("integrated_gradients", options={"steps": 3, "baseline": 0.3})
def integrated_gradients(case):
    """Sundararajan et al., equation 1, the integral by Gauss and Legendre's rule moved from -1..1 to 0..1."""
    image, baseline = case.x[0].numpy(), case.options["baseline"]
    total = np.zeros_like(image)
    for node, weight in zip(*np.polynomial.legendre.leggauss(case.options["steps"]), strict=True):
        total += weight / 2 * input_gradient(case, baseline + (node + 1) / 2 * (image - baseline))
    return np.sum((image - baseline) * total, axis=0)


@oracle("gradient_shap", options={"samples": 2, "seed": 5})
def gradient_shap(case):
    """Expected gradients: the mean of (x - b) dy/dx (b + a (x - b)), b blank between the darkest and the brightest."""
    image = case.x[0].numpy()
    total = np.zeros_like(image)
    draws = uniform_pairs(case.options["samples"], case.options["seed"]).tolist()
    for along, height in draws:
        baseline = np.stack([np.full_like(one, one.min() + height * (one.max() - one.min())) for one in image])
        total += (image - baseline) * input_gradient(case, (1 - along) * baseline + along * image)
    return np.sum(total / len(draws), axis=0)


@oracle("guided_backprop", kinds=WITH_RELU)
def guided_backprop(case):
    """Springenberg et al., figure 1: module by module, R below = (f > 0)(R > 0) R at a ReLU, else the derivative."""
    return np.sum(guided(case), axis=0)


def guided(case) -> np.ndarray:
    chain = [module for module in case.model.modules() if not list(module.children())]
    shown = [case.x]
    with torch.no_grad():
        for module in chain:
            shown.append(module(shown[-1].clone()))
    outputs = shown[-1].shape[1]
    passed = np.zeros((1, outputs))
    passed[0, case.label if outputs > 1 else 0] = 1 if outputs > 1 or case.label == 1 else -1
    for module, below in zip(reversed(chain), reversed(shown[:-1]), strict=True):
        passed = (
            below_relu(below.numpy(), passed)
            if isinstance(module, torch.nn.ReLU)
            else below_any(module, below.numpy(), passed)
        )
    return passed[0]


def below_relu(below, passed) -> np.ndarray:
    return np.where((below > 0) & (passed > 0), passed, 0.0)


def below_any(module, below, passed) -> np.ndarray:
    def weighted(moved):
        with torch.no_grad():
            found = module(torch.from_numpy(moved)).numpy()
        return (found * passed).reshape(len(found), -1).sum(axis=1)

    return differences(weighted, below[0])[None]


@oracle("guided_gradcam", kinds=WITH_RELU)
def guided_gradcam(case):
    """Selvaraju et al., section 3.2: Grad-CAM, linearly enlarged to the image's size, times guided backpropagation."""
    return enlarged(gradcam(case), case.x.shape[2:]) * guided_backprop(case)


def enlarged(coarse, shape) -> np.ndarray:
    """Interpolate linearly, axis by axis, between cells that tile the field of view edge to edge."""
    for axis, size in enumerate(shape):
        cells = coarse.shape[axis]
        centres = (np.arange(size) + 0.5) * cells / size - 0.5
        coarse = np.apply_along_axis(lambda lane: np.interp(centres, np.arange(len(lane)), lane), axis, coarse)  # noqa: B023 - used at once
    return coarse


def regions(case) -> np.ndarray:
    """Return the supervoxels (*S) straight from scikit-image, which scales the image to 0..1 itself."""
    image = np.moveaxis(case.x[0].numpy(), 0, -1)
    return slic(
        image, n_segments=case.options["segments"], compactness=0.1, channel_axis=-1, convert2lab=False, start_label=0
    )


def score_with_only(case, on, labels) -> float:
    """Return the score when every supervoxel but those in ``on`` shows the baseline."""
    shown = np.where(np.isin(labels, list(on)), case.x[0].numpy(), case.options["baseline"])
    return case.score(torch.from_numpy(shown)[None])


@oracle("lime", options={"segments": 6, "samples": 40, "baseline": 0.3, "seed": 5}, tolerance=2e-5)
def lime(case):
    """Ribeiro et al., equation 1 with a ridge: the penalty as further rows, the intercept as a further column."""
    labels = regions(case)
    number = labels.max() + 1
    rows, answers = [], []
    for coalition in random_coalitions(case.options["samples"], int(number), case.options["seed"]).tolist():
        on = [place for place in range(number) if coalition[place]]
        everything = np.ones(number)
        length = np.linalg.norm(coalition) * np.linalg.norm(everything)
        distance = 1 - (np.dot(coalition, everything) / length if length else 0)
        root = math.sqrt(math.sqrt(math.exp(-(distance**2) / 0.25**2)))
        rows.append([root * one for one in [*coalition, 1]])
        answers.append(root * score_with_only(case, on, labels))
    penalty = np.eye(number, number + 1)
    solved = np.linalg.lstsq(np.vstack([rows, penalty]), np.concatenate([answers, np.zeros(number)]), rcond=None)[0]
    return solved[:-1][labels]


@oracle("kernel_shap", options={"segments": 6, "samples": 128, "baseline": 0.3}, tolerance=2e-5)
def kernel_shap(case):
    """Shapley's own sum over all coalitions without a player, no regression at all."""
    labels = regions(case)
    return shapley_values(lambda on: score_with_only(case, on, labels), int(labels.max()) + 1)[labels]


def shapley_values(worth, number) -> np.ndarray:
    """Return phi_j = sum over S without j of |S|! (M - |S| - 1)! / M! (v(S and j) - v(S))."""
    assert number <= 7, "all coalitions must be among the samples, or the method need not be exact"
    worth = functools.cache(worth)
    values = np.zeros(number)
    for player in range(number):
        others = [one for one in range(number) if one != player]
        for size in range(number):
            share = math.factorial(size) * math.factorial(number - size - 1) / math.factorial(number)
            for coalition in itertools.combinations(others, size):
                values[player] += share * (worth(tuple(sorted((*coalition, player)))) - worth(coalition))
    return values
