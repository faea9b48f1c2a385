"""ROC and precision-recall curves: probabilities and a reference in, corners out, as few as draw the same curve.

A study weighs what it is given: 1 over its patient's number of studies, so that the area under the ROC curve is the
AUROC of the report. Studies with the same probability are called together.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.findings.plotted.classifier import OperatingPoint, PrecisionRecallCurve, RocCurve

__all__ = ["MOST_POINTS", "Rated", "operating_point", "precision_recall_curve", "roc_curve"]

MOST_POINTS: Final = 1_000
"""Corners that a record holds at most; a page shows no difference beyond."""

_ON_A_LINE: Final = 1e-10
_ALL_ANGLES: Final = (-4.0, 4.0)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rated:
    """Studies with a probability and a reference, all (studies,); of both classes one at least.

    ``called`` is whether the classifier called the label, ``weight`` what a study counts.
    """

    probability: Floats
    positive: NDArray[np.bool_]
    called: NDArray[np.bool_]
    weight: Floats


def roc_curve(rated: Rated, most: int = MOST_POINTS) -> RocCurve:
    """Return the corners of the ROC curve: those on a line between others are left out, and lose nothing.

    Where more than ``most`` are left, the finest of the tolerances 0.0001, 0.0002, 0.0004, ... that leaves as few is
    used, and stated.
    """
    true, false = _cumulated(rated)
    x, y = np.append(0.0, false / false[-1]), np.append(0.0, true / true[-1])
    within = 0.0
    kept = _corners(x, y, _ON_A_LINE)
    while len(kept) > most:
        within = 2 * within or 1e-4
        kept = _corners(x, y, within)
    return RocCurve(false_positive_rate=_listed(x[kept]), sensitivity=_listed(y[kept]), within=within)


def precision_recall_curve(rated: Rated, most: int = MOST_POINTS) -> PrecisionRecallCurve:
    """Return the precision-recall curve as steps; its area, average precision, is that of all steps.

    A threshold at which nothing more is found draws nothing, and is left out. Where more than ``most`` steps are left,
    those less than a tolerance of recall after one that is kept are left out too.
    """
    true, false = _cumulated(rated)
    recall, precision = true / true[-1], true / (true + false)
    gained = np.diff(recall, prepend=0.0)
    area = float((gained * precision).sum())
    steps = np.flatnonzero(gained > 0)
    # of neighbours with the same precision the last one draws them all
    steps = steps[np.append(np.abs(np.diff(precision[steps])) > _ON_A_LINE, True)]
    kept, within = steps, 0.0
    while len(kept) > most:
        within = 2 * within or 1e-4
        cell = np.floor(recall[steps] / within)
        kept = steps[np.append(cell[1:] != cell[:-1], True)]
    share = float(rated.weight[rated.positive].sum() / rated.weight.sum())
    return PrecisionRecallCurve(
        recall=_listed(recall[kept]),
        precision=_listed(precision[kept]),
        average_precision=min(area, 1.0),
        prevalence=share,
        within=within,
    )


def operating_point(rated: Rated) -> OperatingPoint:
    """Return where the calls lie on the curves, with the same weights."""
    positive, called, weight = rated.positive, rated.called, rated.weight
    hits, alarms = (float(weight[called & side].sum()) for side in (positive, ~positive))
    return OperatingPoint(
        false_positive_rate=min(alarms / float(weight[~positive].sum()), 1.0),
        sensitivity=min(hits / float(weight[positive].sum()), 1.0),
        precision=hits / (hits + alarms) if hits + alarms else None,
    )


def _cumulated(rated: Rated) -> tuple[Floats, Floats]:
    """Return (thresholds,) the weight of the true and of the false calls, from the highest probability down."""
    order = np.argsort(-rated.probability, kind="stable")
    positive, weight, values = rated.positive[order], rated.weight[order], rated.probability[order]
    ends = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)
    return np.cumsum(weight * positive)[ends], np.cumsum(weight * ~positive)[ends]


def _corners(x: Floats, y: Floats, within: float) -> list[int]:
    """Return the points to keep, so that each other one lies within ``within`` of the line between its kept neighbours.

    Both coordinates rise. From each kept point on, the angles at which a line passes all points since are narrowed; the
    last point that lies between them is the next to be kept.
    """
    points = list(zip(x.tolist(), y.tolist(), strict=True))
    kept, low, high = [0], *_ALL_ANGLES
    for place in range(1, len(points)):
        angle, spread = _seen_from(points[kept[-1]], points[place], within)
        if not low <= angle <= high:
            kept.append(place - 1)
            low, high = _ALL_ANGLES
            angle, spread = _seen_from(points[place - 1], points[place], within)
        low, high = max(low, angle - spread), min(high, angle + spread)
    return [*kept, len(points) - 1]


def _seen_from(corner: tuple[float, float], point: tuple[float, float], within: float) -> tuple[float, float]:
    """Return the angle at which a point is seen, and by how much a line may miss it on either side."""
    right, up = point[0] - corner[0], point[1] - corner[1]
    distance = math.hypot(right, up)
    return math.atan2(up, right), math.asin(within / distance) if distance > within else math.pi


def _listed(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in np.clip(values, 0.0, 1.0))
