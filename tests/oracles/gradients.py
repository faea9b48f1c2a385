"""Oracles of the methods that need activations and gradients alone."""

from dataclasses import replace

import numpy as np
import torch

from tests.cam.networks import CONVOLUTIONAL
from tests.oracles.base import gradient_of, oracle, positions, run_with
from tests.oracles.rescoring import enlarged

SEVERAL_LOGITS = tuple(kind for kind in CONVOLUTIONAL if kind != "single-logit")


@oracle("gradcam")
def gradcam(case):
    """Equations 1 and 2 of Selvaraju et al.: alpha_k = 1/Z sum_ij dy/dA_ij^k; L = ReLU(sum_k alpha_k A^k)."""
    activation, gradient = case.activation, case.gradient
    places = positions(activation)
    result = np.zeros(activation.shape[1:])
    for channel in range(len(activation)):
        alpha = sum(gradient[(channel, *place)] for place in places) / len(places)
        for place in places:
            result[place] += alpha * activation[(channel, *place)]
    return np.where(result > 0, result, 0.0)


@oracle("hirescam")
def hirescam(case):
    """Draelos and Carin: the element-wise product of gradient and activation, summed over channels."""
    activation, gradient = case.activation, case.gradient
    result = np.zeros(activation.shape[1:])
    for channel in range(len(activation)):
        for place in positions(activation):
            result[place] += gradient[(channel, *place)] * activation[(channel, *place)]
    return result


@oracle("layercam")
def layercam(case):
    """Jiang et al.: w_ij^k = ReLU(dy/dA_ij^k); L = ReLU(sum_k w_ij^k A_ij^k)."""
    activation, gradient = case.activation, case.gradient
    result = np.zeros(activation.shape[1:])
    for channel in range(len(activation)):
        for place in positions(activation):
            weight = max(gradient[(channel, *place)], 0.0)
            result[place] += weight * activation[(channel, *place)]
    return np.where(result > 0, result, 0.0)


@oracle("cam", kinds=("affine-signed", "affine-rectified"))
def cam(case):
    """Equation 2 of Zhou et al.: M_c = sum_k w_k^c f_k, the weights read off the classifier."""
    weights = case.model.tail[2].weight[case.label]
    result = np.zeros(case.activation.shape[1:])
    for channel, weight in zip(case.activation, weights.tolist(), strict=True):
        result += weight * channel
    return result


@oracle("gradcampp")
def gradcampp(case):
    """Equations 10 to 19 of Chattopadhay et al., with the score exp(y) whose factor is taken out at the end."""
    activation, gradient, places = case.activation, case.gradient, positions(case.activation)
    score = np.exp(case.score(case.x))
    result = np.zeros(activation.shape[1:])
    for channel in range(len(activation)):
        total = sum(activation[(channel, *place)] for place in places)
        weight = 0.0
        for place in places:
            g = gradient[(channel, *place)]
            first, second, third = score * g, score * g**2, score * g**3
            alpha = second / (2 * second + total * third) if abs(g) > 1e-9 else 0.0
            weight += alpha * max(first, 0.0)
        result += weight * activation[channel]
    return np.where(result > 0, result, 0.0) / score


@oracle("smoothgradcampp", options={"samples": 3, "noise": 0.3, "seed": 5})
def smoothgradcampp(case):
    """Omeiza et al.: Grad-CAM++ with each derivative replaced by its mean over noisy images."""
    generator = torch.Generator().manual_seed(case.options["seed"])
    spread = case.options["noise"] * float(case.x.max() - case.x.min())
    gradients = []
    for _ in range(case.options["samples"]):
        field = torch.randn(case.x.shape[1:], generator=generator).double()
        gradients.append(gradient_of(case.model, case.x + spread * field, case.layer, case.label)[0])
    result = np.zeros(case.activation.shape[1:])
    for channel, values in enumerate(case.activation):
        weight = 0.0
        for place in positions(case.activation):
            g = [one[(channel, *place)] for one in gradients]
            first, second, third = (sum(value**power for value in g) / len(g) for power in (1, 2, 3))
            if second > 1e-16:
                weight += second / (2 * second + values.sum() * third) * max(first, 0.0)
        result += weight * values
    return np.where(result > 0, result, 0.0)


@oracle("xgradcam")
def xgradcam(case):
    """Fu et al.: w_k = sum_xy (F_k(x, y) / sum F_k) dS/dF_k(x, y); M = ReLU(sum_k w_k F_k)."""
    activation, gradient, places = case.activation, case.gradient, positions(case.activation)
    result = np.zeros(activation.shape[1:])
    for channel in range(len(activation)):
        total = sum(activation[(channel, *place)] for place in places)
        for place in places:
            if total != 0:
                share = activation[(channel, *place)] / total
                result += share * gradient[(channel, *place)] * activation[channel]
    return np.where(result > 0, result, 0.0)


@oracle("gradcam_elementwise")
def gradcam_elementwise(case):
    """The package grad-cam: max(gradient x activation, 0), summed over channels."""
    result = np.zeros(case.activation.shape[1:])
    for channel in range(len(case.activation)):
        for place in positions(case.activation):
            result[place] += max(case.gradient[(channel, *place)] * case.activation[(channel, *place)], 0.0)
    return result


@oracle("layercam_fusion", layers=("trunk", "layer"))
def layercam_fusion(case):
    """Jiang et al.: tanh(gamma M / max M) with gamma = 2, then the element-wise maximum over layers."""
    maps = [layercam(replace(case, layers=(layer,))) for layer in case.layers]
    shape = max((one.shape for one in maps), key=np.prod)
    scaled = [np.tanh(2 * one / one.max()) if one.max() > 0 else one for one in maps]
    return np.maximum.reduce([enlarged(one, shape) for one in scaled])


def first_component(values) -> np.ndarray:
    """Return A v_1 (cells) by a full singular value decomposition; towards the sum over channels."""
    matrix = values.reshape(len(values), -1).T
    _, _, right = np.linalg.svd(matrix)
    found = matrix @ right[0]
    return (found * np.sign(found @ matrix.sum(axis=1))).reshape(values.shape[1:])


@oracle("eigencam")
def eigencam(case):
    """Muhammad and Yeasin: the activations' projection on the first vector of V in O = U S V^T."""
    return first_component(case.activation)


@oracle("eigengradcam")
def eigengradcam(case):
    """The package grad-cam's EigenGradCAM, not centred: the same of gradient x activation."""
    return first_component(case.gradient * case.activation)


@oracle("finercam", kinds=SEVERAL_LOGITS, options={"gamma": 0.7, "compare": 1})
def finercam(case):
    """Zhang et al.: Grad-CAM of y_c - gamma y_d, d the strongest other label."""
    with torch.no_grad():
        logits = case.model(case.x)[0].tolist()
    rival = max((label for label in range(len(logits)) if label != case.label), key=lambda label: logits[label])
    other = gradient_of(case.model, case.x, case.layer, rival)[0]
    result = np.zeros(case.activation.shape[1:])
    for channel, values in enumerate(case.activation):
        alpha = (case.gradient[channel] - case.options["gamma"] * other[channel]).mean()
        result += alpha * values
    return np.where(result > 0, result, 0.0)


@oracle("randomcam", options={"seed": 7})
def randomcam(case):
    """sum_k w_k A_k, w_k ~ U(-1, 1): one draw a channel, one after the other."""
    generator = torch.Generator().manual_seed(case.options["seed"])
    result = np.zeros(case.activation.shape[1:])
    for values in case.activation:
        result += (2 * float(torch.rand(1, generator=generator)) - 1) * values
    return result


@oracle("refinecam", layers=("trunk", "layer"))
def refinecam(case):
    """arXiv:2605.14641: Grad-CAM++ of each layer, from its least to its largest value, enlarged, multiplied."""
    maps = [gradcampp(replace(case, layers=(layer,))) for layer in case.layers]
    shape = max((one.shape for one in maps), key=np.prod)
    result = np.ones(shape)
    for one in maps:
        span = one.max() - one.min()
        result *= enlarged((one - one.min()) / (span if span > 0 else 1), shape)
    return result


def utility_of(case, activation) -> float:
    """The paper's ReST: the logit and the logarithm of its probability."""
    replaced = torch.from_numpy(activation)[None]
    logits = run_with(case.model, case.x, case.layer, lambda _output: replaced.clone())[0].tolist()
    if len(logits) == 1:
        logits = [0.0, logits[0]] if case.label == 1 else [-logits[0], 0.0]
    own = logits[case.label]
    return own + own - np.log(sum(np.exp(logit) for logit in logits))


@oracle("shapleycam", tolerance=1e-4)
def shapleycam(case):
    """Cai: w_k = mean(G_k - (H A)_k / 2), the Hessian's product by differences of differences along A."""
    activation, step = case.activation, 1e-4
    result = np.zeros(activation.shape[1:])
    for channel in range(len(activation)):
        weights = []
        for place in positions(activation):
            one = np.zeros_like(activation)
            one[(channel, *place)] = step
            first, second = (
                (utility_of(case, at + one) - utility_of(case, at - one)) / (2 * step)
                for at in (activation * (1 + step), activation * (1 - step))
            )
            slope = (utility_of(case, activation + one) - utility_of(case, activation - one)) / (2 * step)
            weights.append(slope - 0.5 * (first - second) / (2 * step))
        result += np.mean(weights) * activation[channel]
    return np.where(result > 0, result, 0.0)
