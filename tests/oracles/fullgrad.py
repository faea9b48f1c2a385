"""Oracle of FullGrad: every layer's bias and gradient by finite differences."""

import copy

import numpy as np
import torch

from tests.oracles.base import oracle, run_with, score_of
from tests.oracles.rescoring import enlarged

STEP = 1e-5


def layers_of(case) -> list[tuple[str, torch.nn.Module, torch.Tensor, torch.Tensor]]:
    """Return name, module, input and output of every module without children, as they were before anything else."""
    found = []
    for name, module in case.model.named_modules():
        if not list(module.children()):
            inputs = []
            hook = module.register_forward_pre_hook(lambda _m, given, inputs=inputs: inputs.append(given[0].clone()))
            with torch.no_grad():
                case.model(case.x)
            hook.remove()
            alone = copy.deepcopy(module)
            with torch.no_grad():
                found.append((name, alone, inputs[0], alone(inputs[0].clone())))
    return found


def bias_of(module, z) -> np.ndarray:
    """b = f(z) - f'(z) z, the derivative along z by central differences."""
    with torch.no_grad():
        ends = [module(z * (1 + sign * STEP)).numpy() for sign in (1, -1)]
        return module(z.clone()).numpy() - (ends[0] - ends[1]) / (2 * STEP)


def slopes_of(score, start) -> np.ndarray:
    """Return the derivative of the score by every element, by central differences."""
    found = np.zeros(start.shape)
    for index in np.ndindex(*start.shape):
        ends = []
        for sign in (1, -1):
            moved = start.clone()
            moved[index] += sign * STEP
            ends.append(score(moved))
        found[index] = (ends[0] - ends[1]) / (2 * STEP)
    return found


def terms_of(case) -> list[np.ndarray]:
    """Return x times its gradient, then bias times gradient of every layer whose bias is not 0."""
    terms = [case.x.numpy() * slopes_of(case.score, case.x)]
    for name, module, z, output in layers_of(case):
        bias = bias_of(module, z)
        if np.abs(bias).max() > 1e-8:

            def score(moved, name=name):
                return score_of(run_with(case.model, case.x, name, lambda _output: moved.clone()), case.label)

            terms.append(bias * slopes_of(score, output))
    return terms


@oracle("fullgrad", kinds=("affine-rectified", "nonaffine-inplace", "single-logit", "normed"), tolerance=1e-5)
def fullgrad(case):
    """Srinivas and Fleuret: sum of psi over the input's and every spatial layer's term; psi of a whole layer."""
    shape = case.x.shape[2:]
    terms = terms_of(case)
    assert abs(sum(term.sum() for term in terms) - case.score(case.x)) < 1e-6, "the paper's completeness"
    result = np.zeros(shape)
    for term in terms:
        size = np.abs(term[0])
        if size.ndim == 1 + len(shape) and size.max() > size.min():
            for channel in (size - size.min()) / (size.max() - size.min()):
                result += enlarged(channel, shape)
    return result
