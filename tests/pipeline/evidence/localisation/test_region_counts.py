"""Counts at many thresholds against the metrics themselves, threshold by threshold."""

import numpy as np
import pytest

from pipeline.evidence.localisation.region_counts import COUNTED, region_counts, values_of_counts
from pipeline.evidence.metrics.map_evidence import Undefined
from pipeline.evidence.metrics.registry import METRICS
from pipeline.findings.localisation.curves import CURVE_SHARES
from tests.pipeline.evidence.metrics.test_map_evidence import overlap_of


def scenes():
    """Maps with masks: ordinary, tied, unseen in part, constant, empty and full masks, tiny and huge values."""
    generator = np.random.default_rng(4)
    for shape in ((9, 11), (6, 7, 5)):
        values = generator.normal(0.2, 1, shape).astype(np.float32)
        mask = generator.random(shape) < 0.3
        seen = generator.random(shape) < 0.7
        yield values, mask, None
        yield values, mask, seen
        yield np.round(values * 4) / 4, mask, seen
        yield np.round(np.abs(values) * 20) / 20, mask, None
        yield np.full(shape, 0.3, np.float32), mask, None
        yield -np.abs(values), mask, None
        yield values, np.zeros(shape, bool), None
        yield values, np.ones(shape, bool), None
        yield values, ~seen, seen
        yield values * np.float32(1e-37), mask, None
        yield values * np.float32(1e37), mask, None


def measured(metric, values, mask, seen, share):
    """Return the metric where the region is drawn at that share; 0 where there is none."""
    try:
        return METRICS[metric](overlap_of(values, mask, seen, rule=share))
    except Undefined as undefined:
        return 0.0 if undefined.code == "empty_region" else None


@pytest.mark.parametrize("metric", COUNTED)
def test_counts_give_the_metric_at_every_threshold(metric):
    for values, mask, seen in scenes():
        expected = [measured(metric, values, mask, seen, share) for share in CURVE_SHARES]
        course = values_of_counts(metric, region_counts(overlap_of(values, mask, seen)))
        assert expected == (list(course) if course is not None else [None] * len(CURVE_SHARES))


def test_every_metric_of_the_region_by_voxels_is_counted():
    of_region = {name for name, metric in METRICS.items() if metric.function.__module__.endswith(".region")}
    assert set(COUNTED) == of_region


def test_counts_by_hand():
    counts = region_counts(overlap_of([[4, 1], [3, 0]], [[1, 1], [0, 0]], [[1, 0], [1, 1]]))
    at = {share: number for number, share in enumerate(CURVE_SHARES)}
    assert (counts.mask, counts.visible, counts.seen) == (2, 1, 3)
    assert [counts.region[at[share]] for share in (0.05, 0.7, 0.75, 0.95)] == [2, 2, 1, 1]
    assert set(counts.common) == {1}


def test_the_counts_need_no_second_look_at_the_volume(monkeypatch):
    overlap = overlap_of(*next(scenes()))
    overlap.evidence.ordered, overlap.visible_values  # noqa: B018 - whatever metrics have computed already
    monkeypatch.delattr(type(overlap.evidence), "positive")
    assert region_counts(overlap).region
