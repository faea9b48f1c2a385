"""Acceptance criteria to answers, decided on the interval's bound and never on the estimate alone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from pipeline.config import Criterion, bound_fault
from pipeline.errors import ConfigError, closest
from pipeline.evidence.cohort import (
    Bootstrap,
    Unit,
    classification,
    mean_estimate,
    paired_difference,
)
from pipeline.evidence.metrics.declaration import Metric
from pipeline.evidence.metrics.registry import METRICS, directions
from pipeline.findings.estimates import Estimate, Verdict
from pipeline.findings.study_audit import StudyAudit
from pipeline.vocabulary import BETTER, CLASSIFIER, Answer, Better

__all__ = ["check_criteria", "judge", "judge_all"]


def check_criteria(
    criteria: Sequence[Criterion], maps: Collection[str], metrics: Mapping[str, Metric] = METRICS
) -> None:
    """Refuse a criterion about a map or a metric that this audit will not have, or with a bound on the wrong side.

    ``maps`` are the names that its maps will have, ``metrics`` what it measures.

    Raises:
        ConfigError: naming the criterion, what is wrong and what is right.
    """
    for number, criterion in enumerate(criteria):
        if criterion.method is None:
            continue
        for key, name, known in (("method", criterion.method, maps), ("metric", criterion.metric, metrics)):
            if name not in known:
                raise ConfigError(f"criteria.{number}.{key}: unknown name {name!r}; {closest(name, known)}")
        metric = metrics[criterion.metric]
        fault = bound_fault(criterion, metric.range, metric.better)
        if fault is not None:
            raise ConfigError(f"criteria.{number}.{fault[0]}: {fault[1]}")


def judge_all(
    criteria: Sequence[Criterion],
    units: Sequence[Unit],
    audits: Sequence[StudyAudit],
    labels: Sequence[str],
    bootstrap: Bootstrap,
    better: Mapping[str, Better] | None = None,
) -> tuple[Verdict, ...]:
    """Answer every criterion; ``better`` says which end is the good one of each metric: camaudit's own unless given."""
    ends = {**directions(), **(better or {})}
    return tuple(
        _verdict(
            criterion,
            _estimate(criterion, units, audits, labels, replace(bootstrap, confidence=criterion.confidence)),
            "higher" if criterion.method is None else ends[criterion.metric],
        )
        for criterion in criteria
    )


def _estimate(
    criterion: Criterion,
    units: Sequence[Unit],
    audits: Sequence[StudyAudit],
    labels: Sequence[str],
    bootstrap: Bootstrap,
) -> Estimate:
    if criterion.method is None:
        estimates = [
            estimate for estimate in classification(audits, labels, bootstrap) if estimate.metric == criterion.metric
        ]
        # several labels: the criterion has to hold for the worst of them
        sign = -1 if criterion.at_most is not None else 1
        return min(estimates, key=lambda estimate: float("-inf") if estimate.value is None else sign * estimate.value)
    if criterion.better_than is not None:
        names = (criterion.method, criterion.better_than)
        return paired_difference(units, criterion.metric, names, criterion.among, bootstrap)
    return mean_estimate(units, criterion.metric, criterion.method, criterion.among, bootstrap)


def _verdict(criterion: Criterion, estimate: Estimate, better: Better) -> Verdict:
    answer, reason = judge(criterion, estimate, better)
    rule = _rule(criterion, better)
    method = criterion.method or CLASSIFIER
    return Verdict(
        criterion=f"{criterion.metric} of {method} among {estimate.among}: {rule}",
        metric=criterion.metric,
        method=method,
        among=estimate.among,
        rule=rule,
        estimate=estimate,
        answer=answer,
        reason=reason,
    )


def _rule(criterion: Criterion, better: Better) -> str:
    on_purpose = f", although {BETTER[better]}" if criterion.reversed else ""
    if criterion.at_least is not None:
        return f"at least {criterion.at_least:g}{on_purpose}"
    if criterion.at_most is not None:
        return f"at most {criterion.at_most:g}{on_purpose}"
    return f"better than {criterion.better_than}"


def judge(criterion: Criterion, estimate: Estimate, better: Better) -> tuple[Answer, str]:
    """Answer one criterion from its estimate: the whole interval has to lie on one side of the threshold.

    For ``better_than`` the estimate is the paired difference and the threshold 0; the whole interval has to lie on the
    side where the metric is ``better``: above 0, or below.
    """
    if estimate.value is None:
        return "NOT EVALUATED", estimate.reason or "nothing to estimate"
    if estimate.low is None or estimate.high is None:
        return "NOT EVALUATED", f"no interval: {estimate.interval}"
    level = f"{100 * estimate.confidence:g} % interval"
    if criterion.better_than is not None:
        return _of_difference(estimate.low, estimate.high, level, better)
    upper = criterion.at_most is not None
    bound = criterion.at_most if criterion.at_most is not None else criterion.at_least
    assert bound is not None
    met, missed = (
        (estimate.high <= bound, estimate.low > bound) if upper else (estimate.low >= bound, estimate.high < bound)
    )
    if met:
        return "MET", f"the whole {level} meets the threshold"
    if missed:
        return "NOT MET", f"the whole {level} misses the threshold"
    return "INCONCLUSIVE", f"the {level} straddles the threshold"


def _of_difference(low: float, high: float, level: str, better: Better) -> tuple[Answer, str]:
    met, missed = (low > 0, high <= 0) if better == "higher" else (high < 0, low >= 0)
    good, bad = ("above", "below") if better == "higher" else ("below", "above")
    if met:
        return "MET", f"the whole {level} of the difference lies {good} 0"
    if missed:
        return "NOT MET", f"the whole {level} of the difference lies at or {bad} 0"
    return "INCONCLUSIVE", f"the {level} of the difference includes 0"
