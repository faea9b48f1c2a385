"""What each criterion asks of a cohort, before a study is audited: criteria and counts of patients in, plans out."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.config import Criterion
from pipeline.evidence.cohort.classifier import classifier_scale
from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.exact.planning import ClaimPlan, plan_area, plan_mean
from pipeline.evidence.verdicts.criteria import claim_of, labels_of, rule_of, whom
from pipeline.evidence.verdicts.judging import MeanClaim
from pipeline.vocabulary import ALL_BASELINES, CLASSIFIER, NOTHING, ConfusionCell, Stratum

__all__ = ["CohortCounts", "CriterionPlan", "cohort_counts", "plan_criteria"]

DIFFERENCE_SPREAD = 0.25
"""The standard deviation of patients' differences that is assumed where none is given."""

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
        judged: the same without the patients on whom thresholds are tuned; None where nobody tunes.
        tuned: the metrics in which these do not count.
    """

    patients: int
    referenced: int
    positive: int
    present: Mapping[str, int]
    absent: Mapping[str, int]
    judged: "CohortCounts | None" = None
    tuned: tuple[str, ...] = ()

    def of(self, metric: str) -> "CohortCounts":
        """Return those of whom a criterion about a metric speaks."""
        return self.judged if self.judged is not None and metric in self.tuned else self


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
    scales: Mapping[str, MetricScale],
    findings: Sequence[str],
    counts: CohortCounts | None = None,
    spread: float | None = None,
) -> tuple[CriterionPlan, ...]:
    """Plan every criterion for each label that it has to hold for.

    Args:
        criteria: as configured.
        scales: each metric's range and direction, by its name.
        findings: the labels that count as findings.
        counts: the cohort at hand; None where it is not known.
        spread: the standard deviation of patients' scores, or of their differences, as a pilot has it.

    Raises:
        ValueError: the spread is not a positive number.
    """
    plans = [
        (
            criterion,
            _of_the_classifier(criterion, label or next(iter(findings), ""), counts)
            if criterion.method is None
            else _of_a_map(
                criterion, label, scales.get(criterion.metric), (counts and counts.of(criterion.metric), spread)
            ),
        )
        for criterion in criteria
        for label in labels_of(criterion, findings)
    ]
    families = [criterion.any_of for criterion in criteria]
    return tuple(_with_more(plan, *_more(criterion, families.count(criterion.any_of))) for criterion, plan in plans)


def _more(criterion: Criterion, members: int) -> Iterator[str]:
    """Yield what makes a criterion need more patients than its plan says."""
    if criterion.any_of is not None and members > 1:
        yield f"as one of {members} of which one has to hold it needs more, up to a level of 1/{members} (Holm)"
    if len(criterion.opponents) > 1 or ALL_BASELINES in criterion.opponents:
        yield "each of the maps that it names has to be beaten, which all together needs more"
    if criterion.readers == "random":
        yield "readers like these, and not these alone, need more"


def _with_more(plan: CriterionPlan, *more: str) -> CriterionPlan:
    reasons = [reason for reason in (plan.reason, *more) if reason is not None]
    return replace(plan, reason="; ".join(reasons) or None)


def _of_the_classifier(criterion: Criterion, label: str, counts: CohortCounts | None) -> CriterionPlan:
    claim = claim_of(criterion, classifier_scale(criterion.metric))
    if criterion.metric == "accuracy":
        return _mean_plan(
            criterion, claim, ("patients with a reference", None if counts is None else counts.referenced)
        )
    present = None if counts is None else counts.present[label]
    absent = None if counts is None else counts.absent[label]
    if criterion.metric == "auroc":
        classes = None if present is None or absent is None else (present, absent)
        rule = f"draws of patients' weights, confidence {_percent(claim.confidence)}"
        plan = plan_area(claim.exact, class_patients=classes)
        group = f"patients of the smaller class of {label}"
        return CriterionPlan(_words(criterion, label), "patient", rule, group, plan, None)
    if criterion.metric == "sensitivity":
        return _mean_plan(criterion, claim, (f"patients with {label}", present), label=label)
    return _mean_plan(criterion, claim, (f"patients without {label}", absent), label=label)


def _of_a_map(
    criterion: Criterion,
    label: str | None,
    scale: MetricScale | None,
    at_hand: tuple[CohortCounts | None, float | None],
) -> CriterionPlan:
    counts, spread = at_hand
    among = _group(criterion.among)
    group = among if label is None else f"{among} of {label}"
    if scale is None:
        return CriterionPlan(_words(criterion, label), criterion.unit, "none", group, None, "its range is not known")
    patients = None if counts is None else _listed(criterion, label, counts)
    claim = claim_of(criterion, scale)
    if claim.side == "within":
        reason = "what it needs depends on how the differences spread: twice what not_worse_than needs is a first guess"
        rule = f"two exact tests of the mean difference, confidence {_percent(claim.confidence)}"
        return CriterionPlan(_words(criterion, label), criterion.unit, rule, group, None, reason)
    shares = criterion.within is not None or criterion.statistic == "median" or criterion.wins is not None
    if criterion.opponents and not shares:
        spread = DIFFERENCE_SPREAD * (scale.width or 1.0) if spread is None else spread
    elif shares or criterion.metric == "hit_rate":
        spread = None  # it is so or not
    return _mean_plan(criterion, claim, (group, patients), spread, label)


def _group(among: Stratum | ConfusionCell) -> str:
    if not isinstance(among, ConfusionCell):
        return _GROUPS[among]
    called = "misses" if among.answered == NOTHING else f"calls {among.answered}"
    return f"patients with {among.reference}, of whom the model {called} some"


def _listed(criterion: Criterion, label: str | None, counts: CohortCounts) -> int:
    if isinstance(criterion.among, ConfusionCell):
        return counts.present[criterion.among.reference]
    if criterion.among == "all":
        return counts.patients
    return counts.positive if label is None else counts.present[label]


def _mean_plan(
    criterion: Criterion,
    claim: MeanClaim,
    group: tuple[str, int | None],
    spread: float | None = None,
    label: str | None = None,
) -> CriterionPlan:
    plan = plan_mean(claim.exact, n_patients=group[1], span=claim.span, spread=spread)
    of = "mean difference" if criterion.opponents and criterion.wins is None else "mean"
    rule = f"exact test of the {of} over patients, confidence {_percent(claim.confidence)}"
    worst = f"scores of {claim.span[0]:g} and {claim.span[1]:g} are assumed, the worst case"
    what = "differences" if of == "mean difference" else "scores"
    reason = worst if spread is None else f"{what} with a standard deviation of {spread:g} are assumed"
    return CriterionPlan(_words(criterion, label), criterion.unit, rule, group[0], plan, reason)


def _words(criterion: Criterion, label: str | None = None) -> str:
    name = f"{criterion.metric} of {criterion.method or CLASSIFIER}"
    name += whom(criterion.among, criterion.target_role) if criterion.method else ""
    name += f" for {label}" if label else ""
    return f"{name}: {rule_of(criterion, 'higher')}"


def _percent(confidence: float) -> str:
    return f"{100 * confidence:g} %"
