"""A run as names and numbers: what a tracker of experiments may hold; no picture, no study, no path."""

from collections.abc import Iterator

from pipeline.findings.estimates import Estimate
from pipeline.findings.results import Results

__all__ = ["figures_of", "identity_of"]


def identity_of(results: Results) -> dict[str, str]:
    """Return what run, model, cohort and criteria are called and hashed."""
    lock = results.lock
    return {
        "run": results.run,
        "audit": results.audit,
        "camaudit": results.provenance.camaudit,
        "model": results.model.name,
        "model_version": results.model.version,
        "weights_sha256": results.model.sha256,
        "cohort": lock.cohort,
        "criteria": lock.criteria,
        "locked_at": lock.locked_at or "not locked: exploratory",
        "ledger_head": results.provenance.ledger_head or "not stated",
        "finished_at": results.provenance.finished_at,
    }


def figures_of(results: Results) -> dict[str, float]:
    """Return the run's counts, and each estimate over the whole cohort with its bounds; what is undefined is absent."""
    flow = results.flow
    figures: dict[str, float] = {
        "studies.in": flow.found,
        "studies.analysed": flow.analysed,
        "studies.excluded": sum(flow.excluded.values()),
        "studies.failed": sum(flow.failed.values()),
        "patients": flow.patients,
    }
    figures |= {f"criteria.{answer.lower().replace(' ', '_')}": count for answer, count in results.answers.items()}
    for estimate in _whole_cohort(results):
        name = f"{estimate.method}.{estimate.metric}.{estimate.among}"
        bounds = {"": estimate.value, ".low": estimate.low, ".high": estimate.high}
        figures |= {f"{name}{end}": float(value) for end, value in bounds.items() if value is not None}
    return figures


def _whole_cohort(results: Results) -> Iterator[Estimate]:
    for estimate in (*results.classification, *results.estimates):
        if estimate.group is None and isinstance(estimate.among, str) and estimate.target_role == "reference":
            yield estimate
