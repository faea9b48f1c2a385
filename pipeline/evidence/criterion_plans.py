"""What each criterion asks of a cohort, before a study is audited: criteria and counts of patients in, plans out."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.config import Criterion
from pipeline.evidence.exact.claims import Claim
from pipeline.evidence.exact.planning import ClaimPlan, plan_area, plan_mean
from pipeline.vocabulary import CLASSIFIER, Stratum

__all__ = ["CohortCounts", "CriterionPlan", "cohort_counts", "plan_criteria"]

DIFFERENCE_SPREAD = 0.25
"""The standard deviation of patients' differences that is assumed where none is given."""

Span = tuple[float | None, float | None]

_GROUPS: Mapping[Stratum, str] = {
    "all": "patients",
    "reference_positive": "patients with a positive study",
    "true_positive": "patients with a positive study, of whom the model finds some",
    "false_negative": "patients with a positive study, of whom the model misses some",
}


@dataclass(frozen=True)
class CohortCounts:
    """Patients of the archive as listed.

    Attributes:
        patients: all.
        referenced: with a study whose labels the archive states.
        positive: with a study in which a label other than the negative one is present.
        present: for each label, with a study in which it is present.
        absent: for each label, with a study in which it is not.
    """

    patients: int
    referenced: int
    positive: int
    present: Mapping[str, int]
    absent: Mapping[str, int]


@dataclass(frozen=True)
class CriterionPlan:
    """A criterion and its plan.

    Attributes:
        criterion: in words.
        unit: what the estimate is a mean over.
        rule: how it is decided, in words.
        group: whose number ``plan.n_patients`` is.
        plan: None where nothing can be planned.
        reason: why not; or what was assumed.
    """

    criterion: str
    unit: str
    rule: str
    group: str
    plan: ClaimPlan | None
    reason: str | None


def cohort_counts(
    studies: Iterable[tuple[str, Sequence[str] | None]], labels: Collection[str], negative: str | None
) -> CohortCounts:
    """Count patients of ``studies``, each a patient and the labels that its reference states (None: it states none).

    ``labels`` are the model's, ``negative`` the one that means that nothing is present.
    """
    listed = list(studies)
    stated = [(patient, set(reference)) for patient, reference in listed if reference is not None]
    findings = [label for label in labels if label != negative]
    return CohortCounts(
        patients=len({patient for patient, _ in listed}),
        referenced=len({patient for patient, _ in stated}),
        positive=len({patient for patient, reference in stated if reference & set(findings)}),
        present={label: len({patient for patient, reference in stated if label in reference}) for label in findings},
        absent={label: len({patient for patient, reference in stated if label not in reference}) for label in findings},
    )


def plan_criteria(
    criteria: Sequence[Criterion],
    spans: Mapping[str, Span],
    findings: Sequence[str],
    counts: CohortCounts | None = None,
    spread: float | None = None,
) -> tuple[CriterionPlan, ...]:
    """Plan every criterion; one about the classifier for each of the ``findings``, which all have to hold.

    Args:
        criteria: as configured.
        spans: each metric's ends, by its name; an open end is None.
        findings: the labels that count as findings.
        counts: the cohort at hand; None where it is not known.
        spread: the standard deviation of patients' scores, or of their differences, as a pilot has it.

    Raises:
        ValueError: the spread is not a positive number.
    """
    plans: list[CriterionPlan] = []
    for criterion in criteria:
        if criterion.method is None:
            plans += _of_the_classifier(criterion, findings, counts)
        else:
            plans.append(_of_a_map(criterion, spans.get(criterion.metric, (None, None)), counts, spread))
    return tuple(plans)


def _of_the_classifier(
    criterion: Criterion, findings: Sequence[str], counts: CohortCounts | None
) -> Iterator[CriterionPlan]:
    claim = _claim(criterion)
    if criterion.metric == "accuracy":
        patients = None if counts is None else counts.referenced
        yield _mean_plan(criterion, claim, "patients with a reference", patients, None)
        return
    for label in findings:
        present = None if counts is None else counts.present[label]
        absent = None if counts is None else counts.absent[label]
        if criterion.metric == "auroc":
            classes = None if present is None or absent is None else (present, absent)
            rule = f"draws of patients' weights, confidence {_percent(claim.confidence)}"
            group = f"patients of the smaller class of {label}"
            plan = plan_area(claim, class_patients=classes)
            yield CriterionPlan(_words(criterion, label), "patient", rule, group, plan, None)
        elif criterion.metric == "sensitivity":
            yield _mean_plan(criterion, claim, f"patients with {label}", present, None, label)
        else:
            yield _mean_plan(criterion, claim, f"patients without {label}", absent, None, label)


def _of_a_map(criterion: Criterion, span: Span, counts: CohortCounts | None, spread: float | None) -> CriterionPlan:
    group = _GROUPS[criterion.among]
    patients = None if counts is None else counts.patients if criterion.among == "all" else counts.positive
    low, high = span
    if low is None or high is None:
        reason = "a mean without an upper or lower end has no valid test; judge the share within a bound, or the median"
        return CriterionPlan(_words(criterion), "patient", "none", group, None, reason)
    if criterion.better_than is None:
        # a maximum lies in the mask or not; what is not known of other scores is taken at its worst
        spread = None if criterion.metric == "hit_rate" else spread
        return _mean_plan(criterion, _claim(criterion), group, patients, spread, span=(low, high))
    claim = Claim("at_least", 0.0, criterion.confidence)
    width = high - low
    assumed = DIFFERENCE_SPREAD * width if spread is None else spread
    plan = plan_mean(claim, n_patients=patients, span=(-width, width), spread=assumed)
    rule = f"exact test of the mean difference over patients, confidence {_percent(claim.confidence)}"
    reason = f"differences with a standard deviation of {assumed:g} are assumed"
    return CriterionPlan(_words(criterion), "patient", rule, group, plan, reason)


def _mean_plan(
    criterion: Criterion,
    claim: Claim,
    group: str,
    patients: int | None,
    spread: float | None,
    label: str | None = None,
    span: tuple[float, float] = (0.0, 1.0),
) -> CriterionPlan:
    plan = plan_mean(claim, n_patients=patients, span=span, spread=spread)
    rule = f"exact test of the mean over patients, confidence {_percent(claim.confidence)}"
    worst = f"scores of {span[0]:g} and {span[1]:g} are assumed, the worst case"
    reason = worst if spread is None else f"scores with a standard deviation of {spread:g} are assumed"
    return CriterionPlan(_words(criterion, label), "patient", rule, group, plan, reason)


def _claim(criterion: Criterion) -> Claim:
    if criterion.at_least is not None:
        return Claim("at_least", criterion.at_least, criterion.confidence)
    if criterion.at_most is not None:
        return Claim("at_most", criterion.at_most, criterion.confidence)
    raise ValueError("a criterion about the classifier has at_least or at_most")


def _words(criterion: Criterion, label: str | None = None) -> str:
    name = f"{criterion.metric} of {criterion.method or CLASSIFIER}"
    name += f" for {label}" if label else f" among {criterion.among}" if criterion.method else ""
    if criterion.better_than is not None:
        return f"{name}: better than {criterion.better_than}"
    side = "at least" if criterion.at_least is not None else "at most"
    return f"{name}: {side} {_claim(criterion).bound:g}"


def _percent(confidence: float) -> str:
    return f"{100 * confidence:g} %"
