"""What separates a subgroup from the rest of the cohort."""

from pipeline.findings.frozen_model import FrozenModel
from pipeline.vocabulary import Stratum

__all__ = ["GroupDifference"]


class GroupDifference(FrozenModel):
    """A subgroup's mean minus that of all others whom the same column describes.

    ``own`` and ``rest`` are what is subtracted, None in runs that did not keep them. ``label`` is whose calls are
    compared, where it is the model's answers and not its maps. ``column`` is empty for a label against the other
    labels. ``p`` is that of the claim that there is no difference, two-sided; ``p_adjusted`` is Holm's over all
    ``family`` differences of the same kind that have one. ``value`` is None, with a ``reason``, where a side has no
    score; the interval is missing, with a ``reason``, where ``shared`` patients belong to both sides, or where the
    metric has an open end.
    """

    metric: str
    method: str
    among: Stratum
    column: str
    group: str
    own: float | None = None
    rest: float | None = None
    value: float | None
    low: float | None = None
    high: float | None = None
    confidence: float
    interval: str = "none"
    p: float | None = None
    p_adjusted: float | None = None
    family: int = 0
    patients: int
    patients_rest: int
    shared: int = 0
    label: str | None = None
    reason: str | None = None
