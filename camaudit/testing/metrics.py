"""The checks that every metric has to pass, camaudit's own and those of other packages."""

from pipeline.evidence.metrics.checks import metric_fault

__all__ = ["check_metric"]


def check_metric(metric: object) -> None:
    """Check a metric on scenes in 2D and 3D, ordinary and odd ones; a run refuses an installed metric that fails.

    It has to give a finite number within its declared range or be undefined with a reason code, the same when asked
    again; to ignore the map where the model saw nothing; to keep every invariance that it declares; to call a map that
    equals the mask better than one beside it; and to have the level of chance that it declares.

    Raises:
        AssertionError: one sentence that says what the metric does not keep.
    """
    fault = metric_fault(metric)
    if fault is not None:
        raise AssertionError(fault)
