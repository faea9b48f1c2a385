"""The classifier's own results, on every study with a reference, whatever its masks."""

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from pipeline.evidence.cohort.estimating import Bootstrap, mean_estimate_of
from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.cohort.population import Population, by_files
from pipeline.evidence.columns.grouped import Groups
from pipeline.evidence.columns.unit import NOT_ANALYSED
from pipeline.evidence.exact.areas import AreaCohort, area_cohort_from, area_draws
from pipeline.evidence.exact.claims import alpha_of
from pipeline.evidence.exact.obuchowski import OBUCHOWSKI, obuchowski_interval
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.estimates import DescriptiveInterval, Estimate
from pipeline.packed.on_demand import ChosenItems
from pipeline.vocabulary import CLASSIFIER

__all__ = [
    "AREA",
    "SPANS",
    "area_cohort_of",
    "auroc_estimate",
    "classification",
    "classifier_population",
    "classifier_scale",
]

AREA: Final = "by patients' exponential weights with one worst-case patient; error rates measured, not proved"
"""How the bounds of an AUROC are made."""

_SPAN: Final = (0.0, 1.0)

SPANS: Final[Mapping[str, tuple[float, float]]] = {"calibration": (-1.0, 1.0)}
"""What a figure may be, where that is not 0 to 1."""


def classifier_scale(metric: str) -> MetricScale:
    """Return the scale of one of the classifier's figures: they all lie within 0 and 1."""
    return MetricScale(metric, _SPAN, "higher")


def classifier_population(metric: str, audits: Iterable[StudyFacts], label: str | None) -> Population:
    """Return whom accuracy, or a label's sensitivity, specificity or calibration, speaks of.

    Calibration is the label's probability minus 1 where the reference names it, minus 0 where not: a mean above 0 says
    that probabilities are too high. A study that failed is missing. Studies are numbered as ``audits`` has them.
    """
    counts, right, patients = _counts[metric], _right[metric], dict[str, int]()
    studies, numbers, values = array("q"), array("q"), array("d")
    for study, row in enumerate(audits):
        if row.reference is not None and counts(row, label):
            studies.append(study)
            numbers.append(patients.setdefault(row.patient, len(patients)))
            values.append(right(row, label) if row.status == "analysed" else np.nan)
    value = np.array(values, dtype=np.float64)
    missing = int(np.isnan(value).sum())
    columns = np.array(studies, dtype=np.intp), np.array(numbers, dtype=np.intp), value
    return Population(*columns, {NOT_ANALYSED: missing} if missing else {})


_Of = Callable[[StudyFacts, str | None], bool]

_counts: Final[Mapping[str, _Of]] = {
    "accuracy": lambda row, label: True,  # noqa: ARG005 - one form for all
    "calibration": lambda row, label: True,  # noqa: ARG005 - one form for all
    "sensitivity": lambda row, label: row.may_show(str(label)),
    "specificity": lambda row, label: row.may_lack(str(label)),
}

_right: Final[Mapping[str, Callable[[StudyFacts, str | None], float]]] = {
    "accuracy": lambda row, label: float(set(row.predicted) == set(row.reference or ())),  # noqa: ARG005 - one form
    "calibration": lambda row, label: row.probabilities[str(label)] - float(label in (row.reference or ())),
    "sensitivity": lambda row, label: float(label in row.predicted),
    "specificity": lambda row, label: float(label not in row.predicted),
}


def classification(audits: Sequence[StudyFacts], labels: Sequence[str], bootstrap: Bootstrap) -> tuple[Estimate, ...]:
    """Return accuracy, and sensitivity, specificity and AUROC of each label.

    ``labels`` are those that count as findings. Accuracy is the share of studies whose predicted labels are exactly
    the reference's.
    """
    estimates = [share_estimate("accuracy", audits, None, None, bootstrap)]
    for label in labels:
        group = f"label={label}" if len(labels) > 1 else None
        estimates += [
            share_estimate("sensitivity", audits, label, group, bootstrap),
            share_estimate("specificity", audits, label, group, bootstrap),
            auroc_estimate(area_cohort_of(audits, label), group, bootstrap),
        ]
    return tuple(estimates)


def share_estimate(
    metric: str, audits: Sequence[StudyFacts], label: str | None, group: str | None, bootstrap: Bootstrap
) -> Estimate:
    """Return accuracy, sensitivity or specificity."""
    named = {"metric": metric, "method": CLASSIFIER, "among": "all", "group": group}
    return mean_estimate_of(classifier_population(metric, audits, label), _SPAN, bootstrap, named)


def area_cohort_of(audits: Sequence[StudyFacts], label: str) -> AreaCohort:
    """Return the studies with a reference as an AUROC sees them; one that was not analysed has no rating.

    Studies, and patients by the first of theirs, are in the order of the hashes of what the model was shown: the
    weights that are drawn for patients depend neither on how an archive is listed, nor on what its patients are called,
    nor on masks.
    """
    referenced = ChosenItems.where(audits, lambda row: row.reference is not None)
    order, numbers = by_files(referenced, _shown), dict[str, int]()
    ratings, present = array("d"), array("b")
    for row in referenced:
        ratings.append(row.probabilities[label] if row.status == "analysed" else np.nan)
        present.append(label in (row.reference or ()))
    patients = np.fromiter((numbers.setdefault(row.patient, len(numbers)) for row in referenced), dtype=np.intp)
    groups = Groups.of(patients[order])
    return area_cohort_from(np.array(ratings)[order], np.array(present, dtype=bool)[order], groups.number)


def _shown(audit: StudyFacts) -> str:
    """Return the hash of what the model was shown of a study; of its files where it was shown nothing."""
    return audit.source_sha256 if audit.model_input is None else audit.model_input.sha256 or audit.source_sha256


def auroc_estimate(
    cohort: AreaCohort, group: str | None, bootstrap: Bootstrap, known: tuple[float, float] | None = None
) -> Estimate:
    """Return the area under a label's ROC curve with its bounds; ``known`` are these, where they were drawn already."""
    value, studies = cohort.area(cohort.share), len(cohort.scores)
    missing = int(studies - cohort.seen.sum())
    common = {
        "metric": "auroc",
        "method": CLASSIFIER,
        "among": "all",
        "group": group,
        "confidence": bootstrap.confidence,
        "patients": cohort.n_patients - cohort.n_missing,
        "studies": studies - missing,
        "missing_patients": cohort.n_missing,
        "missing_studies": missing,
        "undefined": {NOT_ANALYSED: missing} if missing else {},
    }
    if value is None:
        reason = "needs studies with and without the label"
        return Estimate.model_validate({**common, "value": None, "interval": "none", "reason": reason})
    low, high = known or area_draws(cohort).interval(alpha_of(bootstrap.confidence))
    bounds = {
        "low": low,
        "high": high,
        "interval": AREA,
        "chance": 0.5,
        "described": _described(cohort, bootstrap.confidence),
    }
    means = {"value": value, "per_patient": value, "per_study": cohort.area(np.ones(studies))}
    return Estimate.model_validate({**common, **means, **bounds})


def _described(cohort: AreaCohort, confidence: float) -> DescriptiveInterval | None:
    interval = obuchowski_interval(cohort, confidence)
    return None if interval is None else DescriptiveInterval(low=interval[0], high=interval[1], how=OBUCHOWSKI)
