"""What a whole run says of where its maps lie."""

import pytest

from pipeline.runs.run import Run
from tests.pipeline.planted import plant
from tests.pipeline.runs.test_run import complete
from tests.pipeline.shared_pool import POOL

METRICS = ["iou", "dice", "voxel_precision", "voxel_recall", "voxel_specificity"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    overlap = {"threshold": 0.5, "metrics": METRICS}
    config = plant(
        tmp_path_factory.mktemp("localisation"), 12, explain={"methods": ["gradcam"]}, overlap=overlap, criteria=[]
    )
    return complete(config)


def test_a_curve_meets_the_estimate_at_the_audits_own_threshold(finished):
    _, results = finished
    whole = {
        (estimate.metric, estimate.method): estimate
        for estimate in results.estimates
        if estimate.among == "reference_positive" and estimate.group is None
    }
    assert {(curve.metric, curve.method) for curve in results.curves} == whole.keys()
    for curve in results.curves:
        estimate = whole[curve.metric, curve.method]
        assert curve.values[curve.shares.index(0.5)] == pytest.approx(estimate.value, abs=1e-12)
        assert (curve.patients, curve.studies) == (estimate.patients, estimate.studies)


def test_every_row_with_a_mask_has_its_counts(finished):
    folder, _ = finished
    entries = [entry for audit in Run.open(folder, pool=POOL).audits() for entry in audit.map_scores]
    assert entries
    assert all((entry.counts is not None) == (entry.reader is not None) for entry in entries)


def test_lesions_are_parted_by_the_masks_and_stand_among_the_subgroups(finished):
    folder, results = finished
    shapes = [shape for audit in Run.open(folder, pool=POOL).audits() for shape in audit.mask_shapes]
    assert {(shape.reader, shape.lesions, shape.axes) for shape in shapes} == {("anna", 1, 3), ("ben", 1, 3)}
    for shape in shapes:
        side = 6 if shape.reader == "anna" else 8
        assert shape.size == pytest.approx(side**3 * 1.0 * 1.5 * 2.0)
        assert shape.irregularity == pytest.approx(0, abs=1e-9)
    parts = {part.feature: part for part in results.lesion_strata}
    assert sum(parts["size"].studies.values()) == results.curves[0].studies
    assert parts["size"].unit == "mm3"
    groups = {estimate.group for estimate in results.estimates if estimate.group}
    assert "lesion size (masks)=lowest third" not in groups  # all lesions are alike
    assert groups == {"site=a", "site=b"}
    assert {trend.reason for trend in results.lesion_trends} == {"fewer than 10 patients"}
