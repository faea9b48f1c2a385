"""Oracles of the methods that need activations and gradients alone."""

import numpy as np

from tests.oracles.base import oracle, positions


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
