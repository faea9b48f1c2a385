"""Logistic regression on one number, by Newton's steps, with variances that know of patients with several studies."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

__all__ = ["LogisticFit", "logistic_fit"]

_STEPS: Final = 100
_HALVINGS: Final = 30
_CLOSE: Final = 1e-12

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LogisticFit:
    """P(y) = expit(intercept + slope x), and the slope's standard error."""

    intercept: float
    slope: float
    slope_error: float

    def slope_interval(self, confidence: float) -> tuple[float, float]:
        """Return the slope's normal interval."""
        reach = float(ndtri(0.5 + confidence / 2)) * self.slope_error
        return self.slope - reach, self.slope + reach


def logistic_fit(x: Floats, y: NDArray[np.bool_], weight: Floats, cluster: NDArray[np.intp]) -> LogisticFit:
    """Fit a straight line on the logit scale; the classes must overlap in ``x``, or there is no finite fit.

    Args:
        x: (studies,)
        y: (studies,)
        weight: (studies,) what each counts in the likelihood.
        cluster: (studies,) whose rows depend on each other, from 0 on: the variance is the sandwich over clusters.
    """
    middle, spread = float(x.mean()), float(x.std())
    design = np.stack([np.ones(len(x)), (x - middle) / spread], axis=1)
    coefficients = np.zeros(2)
    for _ in range(_STEPS):
        step = np.linalg.solve(_curvature(design, weight, coefficients), _gradient(design, y, weight, coefficients))
        coefficients, moved = _uphill(design, y, weight, coefficients, step.astype(np.float64))
        if moved <= _CLOSE:
            break
    bread = np.linalg.inv(_curvature(design, weight, coefficients))
    residuals = (weight * (y - expit(design @ coefficients)))[:, None] * design
    clusters = int(cluster.max()) + 1
    sums = np.stack([np.bincount(cluster, weights=column, minlength=clusters) for column in residuals.T], axis=1)
    variance = bread @ (sums.T @ sums) @ bread
    slope = float(coefficients[1]) / spread
    return LogisticFit(float(coefficients[0]) - slope * middle, slope, float(np.sqrt(variance[1, 1])) / spread)


def _uphill(design: Floats, y: NDArray[np.bool_], weight: Floats, start: Floats, step: Floats) -> tuple[Floats, float]:
    """Return the coefficients after a step that is halved until the likelihood does not fall, and how far it went."""
    before = _likelihood(design, y, weight, start)
    for _ in range(_HALVINGS):
        if _likelihood(design, y, weight, start + step) >= before:
            return start + step, float(np.abs(step).max())
        step = step / 2
    return start, 0.0


def _likelihood(design: Floats, y: NDArray[np.bool_], weight: Floats, coefficients: Floats) -> float:
    logit = design @ coefficients
    return float((weight * (y * logit - np.logaddexp(0.0, logit))).sum())


def _gradient(design: Floats, y: NDArray[np.bool_], weight: Floats, coefficients: Floats) -> Floats:
    gradient: Floats = design.T @ (weight * (y - expit(design @ coefficients)))
    return gradient


def _curvature(design: Floats, weight: Floats, coefficients: Floats) -> Floats:
    chance = expit(design @ coefficients)
    curvature: Floats = design.T @ (design * (weight * chance * (1 - chance))[:, None])
    return curvature
