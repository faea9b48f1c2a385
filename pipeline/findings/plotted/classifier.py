"""What a label's ROC, precision-recall and reliability curves and its confusion matrix are drawn from."""

from pipeline.findings.estimates import Estimate
from pipeline.findings.frozen_model import FrozenModel

__all__ = [
    "AnswerCount",
    "Calibration",
    "LabelCell",
    "LabelPlots",
    "OperatingPoint",
    "PrecisionRecallCurve",
    "ReliabilityBin",
    "RocCurve",
]


class AnswerCount(FrozenModel):
    """Analysed studies with one reference (None: nobody stated any) and one answer; an empty one names no label."""

    reference: tuple[str, ...] | None
    answered: tuple[str, ...]
    studies: int
    patients: int


class RocCurve(FrozenModel):
    """The corners of a ROC curve from (0, 0) to (1, 1), joined by straight lines; both of the same length.

    No corner that was left out lies further than ``within`` from the lines: 0 where only those on a line were.
    """

    false_positive_rate: tuple[float, ...]
    sensitivity: tuple[float, ...]
    within: float = 0.0


class PrecisionRecallCurve(FrozenModel):
    """A precision-recall curve as steps: ``precision[k]`` holds from ``recall[k - 1]`` (0 before the first) on.

    ``average_precision`` is the area below all steps; ``prevalence`` the precision of calls at random.
    No step that was left out differs by more than ``within`` in recall.
    """

    recall: tuple[float, ...]
    precision: tuple[float, ...]
    average_precision: float
    prevalence: float
    within: float = 0.0


class OperatingPoint(FrozenModel):
    """Where the classifier works as it was audited: what it called. ``precision`` is None where it called nothing."""

    false_positive_rate: float
    sensitivity: float
    precision: float | None


class ReliabilityBin(FrozenModel):
    """Studies whose probability lies from ``low`` up to ``high``: their mean probability, and in how many it is so.

    ``observed_low`` and ``observed_high`` are the exact interval of the observed share over patients.
    """

    low: float
    high: float
    studies: int
    patients: int
    predicted: float
    observed: float
    observed_low: float
    observed_high: float


class Calibration(FrozenModel):
    """How probabilities hold true: the bins that are not empty, and what sums them up.

    ``error`` is the expected calibration error over these bins; its ``chance`` is what a perfectly calibrated model
    with the same probabilities would show on as many studies. ``slope`` and ``intercept`` are those of the logistic
    regression of the reference on the logit of the probability: 1 and 0 where probabilities hold true.
    """

    bins: tuple[ReliabilityBin, ...]
    error: Estimate
    slope: Estimate
    intercept: float | None = None


class LabelCell(FrozenModel):
    """The studies with one pair of reference and call of a label, and where the map peaks in them.

    ``hit_rate`` is that of the plots' ``method`` over the studies of the cell; None where no study has its map.
    ``typical`` is, of the report's cases with pictures that lie in the cell, the one whose probability is nearest to
    the cell's median; None where there is no such case.
    """

    present: bool
    called: bool
    studies: int
    patients: int
    median_probability: float | None = None
    hit_rate: Estimate | None = None
    typical: str | None = None


class LabelPlots(FrozenModel):
    """What is drawn of one label: curves in which patients weigh alike, as in the AUROC; ``missing`` studies lack one.

    ``roc`` and ``precision_recall`` are None, with a ``reason``, where a class has no study.
    """

    label: str
    studies: int
    patients: int
    positives: int
    negatives: int
    missing: int = 0
    roc: RocCurve | None = None
    precision_recall: PrecisionRecallCurve | None = None
    operating: OperatingPoint | None = None
    calibration: Calibration | None = None
    method: str | None = None
    cells: tuple[LabelCell, ...] = ()
    reason: str | None = None
