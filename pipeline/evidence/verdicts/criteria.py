"""Acceptance criteria to answers: which claims a criterion makes, of whom, and what the cohort says to them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

from pipeline.config import CheckCriterion, Criterion, bound_fault
from pipeline.errors import ConfigError, closest
from pipeline.evidence.cohort.classifier import area_cohort_of, auroc_estimate, classifier_population, classifier_scale
from pipeline.evidence.cohort.confusion import in_cell
from pipeline.evidence.cohort.estimating import Bootstrap, at_most_so_many, mean_estimate_of
from pipeline.evidence.cohort.measures import (
    READERS,
    Measure,
    MetricScale,
    against_readers,
    beyond,
    of_map,
    of_pair,
    of_rank,
    win,
)
from pipeline.evidence.cohort.population import Population, population_of
from pipeline.evidence.columns.unit_table import UnitTable
from pipeline.evidence.exact.areas import judge_area
from pipeline.evidence.exact.claims import Claim, reaches
from pipeline.evidence.exact.families import holm
from pipeline.evidence.exact.measures import median_interval
from pipeline.evidence.metrics.declaration import Metric
from pipeline.evidence.metrics.registry import METRICS
from pipeline.evidence.verdicts.judging import (
    MeanClaim,
    bounds_of,
    fewest_patients,
    judge,
    judge_parts,
    part_of,
    refusal,
)
from pipeline.evidence.verdicts.open_cohort import (
    OPEN_AREA,
    OPEN_INTERVAL,
    as_first_seen,
    judge_growing_area,
    looks_at,
    told_of_contradiction,
)
from pipeline.evidence.verdicts.random_readers import judged_over_readers
from pipeline.evidence.verdicts.run_control import run_control
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.estimates import LabelVerdict, Verdict
from pipeline.vocabulary import (
    ALL_BASELINES,
    BASELINES,
    BETTER,
    CLASSIFIER,
    OTHER_READERS,
    USUAL_BASELINES,
    Better,
    ConfusionCell,
    Stratum,
    TargetRole,
)

__all__ = ["Cohort", "check_criteria", "claim_of", "judge_all", "rule_of", "whom"]

Side = Literal["at_least", "at_most", "within"]


@dataclass(frozen=True)
class Cohort:
    """What criteria are judged on: ``units`` of maps, ``audits`` of all studies, ``labels`` that count as findings.

    ``negative`` is the label that an answer without a finding is; None where each label is called by itself.

    ``scales`` goes from a metric to its range and direction. ``first_seen`` goes from a study to the run that saw it
    first, where the cohort was locked as one that grows; it is None where it was locked whole. ``baselines`` are those
    that the run measured.
    """

    units: UnitTable
    audits: Sequence[StudyFacts]
    labels: Sequence[str]
    scales: Mapping[str, MetricScale]
    first_seen: Mapping[str, str] | None = None
    baselines: Sequence[str] = USUAL_BASELINES
    negative: str | None = None


def check_criteria(
    criteria: Sequence[Criterion | CheckCriterion], maps: Collection[str], metrics: Mapping[str, Metric] = METRICS
) -> None:
    """Refuse a criterion about a map or a metric that this audit will not have, or with a bound on the wrong side.

    ``maps`` are the names that its maps will have, ``metrics`` what it measures.

    Raises:
        ConfigError: naming the criterion, what is wrong and what is right.
    """
    for number, criterion in enumerate(criteria):
        if criterion.method is None:
            continue
        if isinstance(criterion, CheckCriterion):
            own = [name for name in maps if name not in BASELINES]
            if criterion.method not in own:
                says = f"unknown name {criterion.method!r}; {closest(criterion.method, own)}"
                raise ConfigError(f"criteria.{number}.method: {says}")
            continue
        for key, name, known in _named(criterion, maps, metrics):
            if name not in known:
                raise ConfigError(f"criteria.{number}.{key}: unknown name {name!r}; {closest(name, known)}")
        metric = metrics[criterion.metric]
        fault = bound_fault(criterion, metric.range, metric.better)
        if fault is not None:
            raise ConfigError(f"criteria.{number}.{fault[0]}: {fault[1]}")


def _named(
    criterion: Criterion, maps: Collection[str], metrics: Collection[str]
) -> Iterator[tuple[str, str, Collection[str]]]:
    yield "method", str(criterion.method), maps
    yield "metric", criterion.metric, metrics
    for name in criterion.better_than or ():
        yield "better_than", name, [*maps, ALL_BASELINES]
    if criterion.not_worse_than is not None:
        yield "not_worse_than", criterion.not_worse_than, [*maps, READERS]
    if criterion.equivalent_to is not None:
        yield "equivalent_to", criterion.equivalent_to, maps


def judge_all(criteria: Sequence[Criterion], cohort: Cohort, bootstrap: Bootstrap) -> tuple[Verdict, ...]:
    """Answer every criterion; members of a family of which one has to hold are corrected for their number."""
    verdicts = [_verdict(criterion, cohort, bootstrap) for criterion in criteria]
    for family in dict.fromkeys(criterion.any_of for criterion in criteria if criterion.any_of is not None):
        members = [number for number, criterion in enumerate(criteria) if criterion.any_of == family]
        adjusted = holm([_p_met(verdicts[number]) for number in members])
        for number, p in zip(members, adjusted, strict=True):
            verdicts[number] = _corrected(verdicts[number], p, len(members))
    return tuple(verdicts)


def _p_met(verdict: Verdict) -> float:
    return 1.0 if verdict.p_met is None else verdict.p_met


def _corrected(verdict: Verdict, p: float, members: int) -> Verdict:
    """Return a member's verdict with Holm's p-value; what it does not reach is not MET."""
    if verdict.p_met is None:
        return verdict
    changed: dict[str, object] = {"p_met": p}
    if verdict.answer == "MET" and not reaches(p, verdict.alpha):
        reason = f"p = {p:.2g} after correction for {members} criteria of which one has to hold (Holm)"
        changed |= {"answer": "INCONCLUSIVE", "reason": reason}
    return verdict.model_copy(update=changed)


def _verdict(criterion: Criterion, cohort: Cohort, bootstrap: Bootstrap) -> Verdict:
    at_level = replace(bootstrap, confidence=criterion.confidence)
    scale = _scale(criterion, cohort)
    claim = claim_of(criterion, scale)
    parts = tuple(
        _of_a_map(criterion, claim, scale, cohort, label, against, at_level)
        if criterion.method is not None
        else _of_the_classifier(criterion, claim, cohort, label, at_level)
        for label in labels_of(criterion, cohort.labels)
        for against in _opponents(criterion, cohort) or (None,)
    )
    whole = judge_parts(parts, criterion.confidence)
    decisive = parts[whole.decisive]
    rule, method, among = rule_of(criterion, scale.better), criterion.method or CLASSIFIER, decisive.estimate.among
    return Verdict(
        criterion=f"{criterion.metric} of {method}{whom(among, criterion.target_role)}: {rule}",
        metric=criterion.metric,
        method=method,
        among=among,
        target_role=criterion.target_role,
        rule=rule,
        side=claim.side,
        bound=claim.bound,
        unit=criterion.unit,
        label=decisive.label,
        against=decisive.against,
        estimate=decisive.estimate,
        answer=whole.answer,
        reason=whole.reason,
        alpha=claim.exact.alpha,
        p_met=whole.p_met,
        p_not_met=whole.p_not_met,
        best_reachable=decisive.best_reachable,
        smallest_cohort=fewest_patients(claim),
        any_of=criterion.any_of,
        parts=parts if len(parts) > 1 else (),
        control=decisive.control if len(parts) == 1 else None,
    )


def labels_of(criterion: Criterion, labels: Sequence[str]) -> tuple[str | None, ...]:
    """Return the labels that a criterion has to hold for; None stands for all of them together.

    A cell is one of one label: its own.
    """
    if isinstance(criterion.among, ConfusionCell):
        return (None,)
    if criterion.label == ("pooled",) or (criterion.method is None and criterion.metric == "accuracy"):
        return (None,)
    if criterion.label != ("each",):
        return criterion.label
    return tuple(labels) if len(labels) > 1 else (None,)


def _opponents(criterion: Criterion, cohort: Cohort) -> tuple[str, ...]:
    names = [cohort.baselines if name == ALL_BASELINES else (name,) for name in criterion.opponents]
    return tuple(dict.fromkeys(name for group in names for name in group))


def _scale(criterion: Criterion, cohort: Cohort) -> MetricScale:
    if criterion.method is None:
        return classifier_scale(criterion.metric)
    return cohort.scales[criterion.metric]


def claim_of(criterion: Criterion, scale: MetricScale) -> MeanClaim:
    """Return what a criterion claims of the mean of its measure."""
    side, bound, span = _claimed(criterion, scale)
    return MeanClaim(
        side,
        bound,
        span,
        criterion.unit,
        criterion.confidence,
        criterion.missing_at_most,
        criterion.studies_at_most,
    )


def _claimed(criterion: Criterion, scale: MetricScale) -> tuple[Side, float, tuple[float, float]]:
    shares, width = (0.0, 1.0), criterion.cap or scale.width or 1.0
    if criterion.within is not None:
        return "at_least", criterion.at_least or 0.0, shares
    if criterion.statistic == "median":
        return "at_least", 0.5, shares
    if criterion.wins is not None:
        return "at_least", criterion.wins, shares
    if criterion.equivalent_to is not None:
        return "within", criterion.margin or 0.0, (-width, width)
    if criterion.opponents:
        gain = criterion.by if criterion.better_than is not None else -(criterion.margin or 0.0)
        return ("at_least", gain, (-width, width)) if scale.better == "higher" else ("at_most", -gain, (-width, width))
    low, high = scale.span
    span = (0.0 if low is None else low, criterion.cap or (1.0 if high is None else high))
    return (
        ("at_least", criterion.at_least, span)
        if criterion.at_least is not None
        else ("at_most", criterion.at_most or 0.0, span)
    )


def measure_of(criterion: Criterion, scale: MetricScale, against: str | None) -> Measure:
    """Return what a criterion about a map measures of each unit."""
    name = str(criterion.method)
    if criterion.within is not None:
        return beyond(name, scale, criterion.within, at_least=False)
    if criterion.statistic == "median":
        bound = criterion.at_least if criterion.at_least is not None else criterion.at_most
        return beyond(name, scale, bound or 0.0, at_least=criterion.at_least is not None)
    if against is None:
        return of_map(name, scale, criterion.cap)
    if against == READERS:
        return against_readers(name, scale, criterion.cap)
    return win(name, against, scale) if criterion.wins is not None else of_pair(name, against, scale, criterion.cap)


def _of_a_map(
    criterion: Criterion,
    claim: MeanClaim,
    scale: MetricScale,
    cohort: Cohort,
    label: str | None,
    against: str | None,
    bootstrap: Bootstrap,
) -> LabelVerdict:
    units = _units_among(criterion, cohort)
    units = units if label is None else units.of_target(label)
    chance = None if against is not None or claim.span != scale.span else (str(criterion.method), scale.name)
    measure = measure_of(criterion, scale, against)
    population = population_of(units, measure, chance)
    named = {
        "metric": criterion.metric,
        "method": criterion.method if against is None else f"{criterion.method} - {against}",
        "among": criterion.among,
        "target_role": criterion.target_role,
        "group": None if label is None else f"label={label}",
    }
    if criterion.readers == "random":
        estimate = mean_estimate_of(population, claim.span, bootstrap, named, known=claim.span)
        return judged_over_readers(
            claim, units, measure, estimate, (label, against), growing=cohort.first_seen is not None
        )
    part = _judged(claim, population, cohort, bootstrap, named, (label, against))
    if criterion.statistic == "mean" or cohort.first_seen is not None or part.p_met is None:
        return part
    ranks = population_of(units, of_rank(str(criterion.method), scale))
    return part.model_copy(update={"reason": f"{part.reason}; {_median_words(ranks, claim.exact.alpha)}"})


def _median_words(population: Population, alpha: float) -> str:
    """Return the exact interval of the median, which the share at one half that is judged does not show."""
    low, high = median_interval(population.value, population.groups.number, alpha)
    ends = [None if end is None or not isfinite(end) else f"{end:.3g}" for end in (low, high)]
    if ends[0] is None and ends[1] is None:
        return "too few patients to bound the median"
    if ends[0] is None or ends[1] is None:
        return f"the median is {f'at most {ends[1]}' if ends[0] is None else f'at least {ends[0]}'}"
    return f"the median lies within {ends[0]} and {ends[1]}"


def _units_among(criterion: Criterion, cohort: Cohort) -> UnitTable:
    """Return the units that a criterion is about: of a stratum, or the maps of one role in a cell."""
    among, role = criterion.among, criterion.target_role
    if isinstance(among, ConfusionCell):
        return cohort.units.of_kind(lambda unit: in_cell(unit, among, role, cohort.negative))
    return cohort.units.among(among)


def whom(among: Stratum | ConfusionCell, role: TargetRole) -> str:
    """Return of whom a criterion speaks, to follow a map's name; the map is the answered label's where it says so."""
    of = " (the answered label's map)" if role == "answered" else ""
    return f"{of} among {among.words if isinstance(among, ConfusionCell) else among}"


def _judged(
    claim: MeanClaim,
    population: Population,
    cohort: Cohort,
    bootstrap: Bootstrap,
    named: Mapping[str, object],
    of: tuple[str | None, str | None],
) -> LabelVerdict:
    """Answer a claim and estimate what it is about; ``of`` is the label and the map that it is held against."""
    growing, looks, control = cohort.first_seen is not None, None, None
    if cohort.first_seen is not None:
        population = as_first_seen(population, cohort.audits, cohort.first_seen)
        looks = looks_at(population, cohort.audits, cohort.first_seen)
        control = run_control(claim, population, cohort.audits, cohort.first_seen)
    stated = bootstrap.stated.of(named, claim.unit, claim.confidence)
    refused = refusal(claim, population, growing=growing)
    judged = len(population.scored) and refused is None
    result = judge(claim, population, looks=looks, stated=stated) if judged else None
    estimate = mean_estimate_of(population, claim.span, bootstrap, named, claim.unit, bounds_of(result))
    if growing and result is not None:
        estimate = estimate.model_copy(update={"interval": OPEN_INTERVAL})
    elif claim.studies_at_most is not None and result is not None:
        estimate = estimate.model_copy(update={"interval": at_most_so_many(claim.studies_at_most)})
    if refused is not None and len(population.scored):
        estimate = estimate.model_copy(update={"low": None, "high": None, "interval": "none", "reason": refused})
    return told_of_contradiction(part_of(*of, estimate, result)).model_copy(update={"control": control})


def _of_the_classifier(
    criterion: Criterion, claim: MeanClaim, cohort: Cohort, label: str | None, bootstrap: Bootstrap
) -> LabelVerdict:
    metric, of = criterion.metric, label or (cohort.labels[0] if cohort.labels else "")
    group = None if label is None else f"label={label}"
    if metric == "auroc":
        return _of_auroc(claim.exact, cohort, (label, of), group, bootstrap)
    named = {"metric": metric, "method": CLASSIFIER, "among": "all", "group": group}
    population = classifier_population(metric, cohort.audits, of)
    return _judged(claim, population, cohort, bootstrap, named, (label, None))


def _of_auroc(
    claim: Claim, cohort: Cohort, of: tuple[str | None, str], group: str | None, bootstrap: Bootstrap
) -> LabelVerdict:
    """Answer a claim about an AUROC; ``of`` is the label to be named, where there are several, and the label."""
    areas = area_cohort_of(cohort.audits, of[1])
    if areas.area(areas.share) is None:
        return part_of(of[0], None, auroc_estimate(areas, group, bootstrap), None)
    if cohort.first_seen is not None:
        result = judge_growing_area(cohort.audits, of[1], cohort.first_seen, claim)
        estimate = auroc_estimate(areas, group, bootstrap, (result.low, result.high))
        return told_of_contradiction(part_of(of[0], None, estimate.model_copy(update={"interval": OPEN_AREA}), result))
    result = judge_area(areas, claim)
    return part_of(of[0], None, auroc_estimate(areas, group, bootstrap, (result.low, result.high)), result)


def rule_of(criterion: Criterion, better: Better) -> str:
    """Return a criterion's rule in words."""
    of = "difference" if criterion.opponents else "score"
    capped = "" if criterion.cap is None else f", each {of} capped at {criterion.cap:g}"
    readers = f", {OTHER_READERS}" if criterion.readers == "random" else ""
    return f"{_rule_of(criterion, better)}{capped}{readers}"


def _rule_of(criterion: Criterion, better: Better) -> str:
    on_purpose = f", although {BETTER[better]}" if criterion.reversed else ""
    if criterion.within is not None:
        return f"within {criterion.within:g} in at least {100 * (criterion.at_least or 0):g} % of patients"
    median = "median " if criterion.statistic == "median" else ""
    if criterion.at_least is not None:
        return f"{median}at least {criterion.at_least:g}{on_purpose}"
    if criterion.at_most is not None:
        return f"{median}at most {criterion.at_most:g}{on_purpose}"
    names = " and ".join(criterion.opponents)
    if criterion.equivalent_to is not None:
        return f"equivalent to {names} within {criterion.margin:g}"
    if criterion.not_worse_than is not None:
        return f"not worse than {names} by more than {criterion.margin:g}"
    if criterion.wins is not None:
        return (
            f"better than {names} in more than {100 * criterion.wins:g} % of a patient's studies, a tie counting half"
        )
    return f"better than {names}" + (f" by more than {criterion.by:g}" if criterion.by else "")
