"""Acceptance criteria to answers, decided on the interval's bound and never on the estimate alone."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from pipeline.config import Criterion
from pipeline.errors import ConfigError, closest
from pipeline.evidence.cohort import (
    Bootstrap,
    Unit,
    classification,
    mean_estimate,
    paired_difference,
)
from pipeline.findings.estimates import Answer, Estimate, Verdict
from pipeline.findings.study_audit import StudyAudit

__all__ = ["check_criteria", "judge", "judge_all"]


def check_criteria(criteria: Sequence[Criterion], maps: Collection[str]) -> None:
    """Refuse a criterion about a map that this audit will not have; ``maps`` are the names that its maps will have.

    Raises:
        ConfigError: naming the criterion, the unknown name and the nearest right one.
    """
    for number, criterion in enumerate(criteria):
        if criterion.method is not None and criterion.method not in maps:
            advice = closest(criterion.method, maps)
            raise ConfigError(f"criteria.{number}.method: unknown name {criterion.method!r}; {advice}")


def judge_all(
    criteria: Sequence[Criterion],
    units: Sequence[Unit],
    audits: Sequence[StudyAudit],
    labels: Sequence[str],
    bootstrap: Bootstrap,
) -> tuple[Verdict, ...]:
    """Answer every criterion."""
    return tuple(
        _verdict(
            criterion,
            _estimate(criterion, units, audits, labels, replace(bootstrap, confidence=criterion.confidence)),
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


def _verdict(criterion: Criterion, estimate: Estimate) -> Verdict:
    answer, reason = judge(criterion, estimate)
    rule = (
        f"at least {criterion.at_least:g}"
        if criterion.at_least is not None
        else f"at most {criterion.at_most:g}"
        if criterion.at_most is not None
        else f"better than {criterion.better_than}"
    )
    method = criterion.method or "classifier"
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


def judge(criterion: Criterion, estimate: Estimate) -> tuple[Answer, str]:
    """Answer one criterion from its estimate: the whole interval has to lie on one side of the threshold.

    For ``better_than`` the estimate is the paired difference and the threshold 0, which the interval must exceed.
    """
    if estimate.value is None:
        return "NOT EVALUATED", estimate.reason or "nothing to estimate"
    if estimate.low is None or estimate.high is None:
        return "NOT EVALUATED", f"no interval: {estimate.interval}"
    level = f"{100 * estimate.confidence:g} % interval"
    if criterion.better_than is not None:
        if estimate.low > 0:
            return "MET", f"the whole {level} of the difference lies above 0"
        if estimate.high <= 0:
            return "NOT MET", f"the whole {level} of the difference lies at or below 0"
        return "INCONCLUSIVE", f"the {level} of the difference includes 0"
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
