"""Shares of a map by region: every voxel counted anew, and the regions those of a peak."""

import numpy as np
import pytest

from pipeline.evidence.metrics.map_evidence import LesionLimits, MarkedVoxels, MaskedEvidence, RegionOverlap
from pipeline.evidence.plotted.region_shares import (
    RegionLabels,
    RegionsBeside,
    _divided,
    body_labels,
    cohort_shares,
    region_shares,
    with_avoided,
)
from pipeline.evidence.shown_body import ShownBody
from pipeline.evidence.whereabouts import peak_of
from pipeline.findings.plotted.shares import RegionShares
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap
from tests.pipeline.evidence.records import entry, study


def geometry(shape, spacing=2.0):
    return Geometry(shape, np.diag([spacing, spacing, spacing, 1.0]))


def body(shape, spacing=2.0, seed=0):
    """A disc or a ball in the middle of what the model was shown."""
    axes = np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij")
    inside = sum(axis**2 for axis in axes) < 0.5
    x = (inside + 0.05 * np.random.default_rng(seed).random(shape)).astype(np.float32)
    return ShownBody(x[None], geometry(shape, spacing))


def overlap_of(values, mask, seen=None, spacing=2.0):
    grid = geometry(values.shape, spacing)
    seen = np.ones(values.shape, bool) if seen is None else seen
    heatmap = Heatmap(values.astype(np.float32), grid, seen, "gradcam", "layer", "nodule")
    return RegionOverlap(MaskedEvidence(heatmap, 0.5, LesionLimits()), MarkedVoxels(mask, grid))


@pytest.mark.parametrize("shape", [(40, 60), (18, 20, 22)])
def test_regions_are_those_of_a_peak(shape):
    shown = body(shape)
    labels = body_labels(shown, shown.grid)
    assert labels.steps == (1,) * len(shape)
    generator = np.random.default_rng(1)
    for place in [tuple(int(generator.integers(size)) for size in shape) for _ in range(60)]:
        values = np.zeros(shape, np.float32)
        values[place] = 1
        peak = peak_of(overlap_of(values, np.zeros(shape, bool)).evidence, shown.region, None)
        assert labels.names[labels.numbers[place]] == peak.body_region, place


def shares_by(overlap, labels):
    return region_shares(overlap, RegionsBeside(labels, overlap.marked))


@pytest.mark.parametrize("steps", [(1, 1, 1), (2, 1, 3)])
def test_regions_are_counted_and_weighed_voxel_by_voxel_whatever_their_form(steps):
    """Whole numbers have exact sums, in whatever order."""
    generator = np.random.default_rng(3)
    shape = (9, 11, 13)
    every = tuple(slice(None, None, step) for step in steps)
    numbers = generator.integers(0, 3, np.zeros(shape)[every].shape).astype(np.uint8)
    labels = RegionLabels(numbers, steps, ("outside", "surface", "body", "border"))
    mask = generator.random(shape) < 0.3
    weights = generator.integers(0, 99, shape).astype(np.float32)
    beside = RegionsBeside(labels, MarkedVoxels(mask, geometry(shape)))
    for number, name in enumerate(labels.names):
        inside = (numbers == number) & ~mask[every]
        assert beside.voxels[name] == inside.sum()
        assert beside.weighed(weights)[name] == weights[every][inside].sum()
        assert beside.weighed(mask)[name] == 0, "what is counted may be true and false"
    assert set(beside.voxels) == set(labels.names), "a region that has no voxel here has a sum too"


@pytest.mark.parametrize("unseen", [0.25, 0.0])
@pytest.mark.parametrize("shape", [(40, 60), (18, 20, 22)])
def test_shares_are_sums_over_voxels_and_add_up_to_1(shape, unseen):
    generator = np.random.default_rng(2)
    shown = body(shape)
    labels = body_labels(shown, shown.grid)
    values = generator.random(shape) - 0.3
    mask = generator.random(shape) < 0.05
    seen = np.ones(shape, bool)
    seen[: int(shape[0] * unseen)] = False
    shares = shares_by(overlap_of(values, mask, seen), labels)
    positive = np.where(seen, np.maximum(values.astype(np.float32), 0), 0).astype(np.float64)
    assert shares.evidence["lesion"] == pytest.approx(positive[mask].sum() / positive.sum())
    for number, name in enumerate(labels.names):
        inside = (labels.numbers == number) & ~mask
        assert shares.evidence.get(name, 0) == pytest.approx(positive[inside].sum() / positive.sum(), abs=1e-9)
        assert shares.voxels.get(name, 0) == pytest.approx((inside & seen).sum() / seen.sum(), abs=1e-9)
    assert sum(shares.evidence.values()) == pytest.approx(1)
    assert sum(shares.voxels.values()) == pytest.approx(1)


def test_a_large_picture_is_divided_by_some_of_its_voxels():
    shape = (1100, 700)
    shown = body(shape)
    labels = body_labels(shown, shown.grid)
    assert labels.steps == (3, 2)
    assert labels.numbers.shape == shown.x[0][labels.every].shape
    values = np.zeros(shape)
    values[500:600, 300:400] = 1
    mask = np.zeros(shape, bool)
    mask[500:600, 300:350] = True
    shares = shares_by(overlap_of(values, mask), labels)
    assert shares.evidence == pytest.approx({"lesion": 0.5, "body": 0.5})


def test_a_study_on_another_grid_than_the_models_is_labelled_in_its_own():
    shown = body((20, 20), spacing=4.0)
    fine = body_labels(shown, Geometry((40, 40), np.diag([2.0, 2.0, 2.0, 1.0])))
    coarse = body_labels(shown, shown.grid)
    assert (fine.numbers[4:36:2, 4:36:2] == coarse.numbers[2:18, 2:18]).mean() > 0.99


def test_what_has_no_evidence_has_no_shares():
    shown = body((20, 20))
    labels = body_labels(shown, shown.grid)
    mask = np.zeros((20, 20), bool)
    assert shares_by(overlap_of(np.zeros((20, 20)), mask), labels) is None
    assert shares_by(overlap_of(-np.ones((20, 20)), mask), labels) is None
    alone = np.zeros((20, 20))
    alone[3, 4] = 1
    mask[3, 4] = True
    assert shares_by(overlap_of(alone, mask), labels).evidence == {"lesion": 1.0}
    thin = RegionLabels(labels.numbers[::7, ::7], (7, 7), labels.names)
    assert shares_by(overlap_of(alone, ~mask & False), thin) is None, "no labelled voxel holds any of it"


def test_a_picture_without_a_body_lies_outside_of_one():
    flat = ShownBody(np.zeros((1, 20, 20), np.float32), geometry((20, 20)))
    labels = body_labels(flat, flat.grid)
    assert {labels.names[number] for number in np.unique(labels.numbers)} <= {"outside", "border"}


def with_shares(number, lesion, **facts):
    shares = RegionShares(evidence={"lesion": lesion, "body": 1 - lesion}, voxels={"lesion": 0.1, "outside": 0.9})
    return study(number, entry("gradcam", "a", 0.5).model_copy(update={"shares": shares}), **facts)


def test_a_cohorts_shares_are_means_over_patients():
    rows = [
        with_shares(0, 0.2, patient="P"),
        with_shares(1, 0.4, patient="P"),
        with_shares(2, 0.9, predicted=()),
        study(3, entry("gradcam", "a", 0.5)),
        with_shares(4, 0.5, reference=()),
    ]
    whole, called, missed = cohort_shares(rows, ["nodule"])
    assert (whole.among, whole.method, whole.studies, whole.patients) == ("reference_positive", "gradcam", 3, 2)
    assert whole.evidence == pytest.approx({"lesion": 0.6, "body": 0.4})
    assert whole.voxels == pytest.approx({"lesion": 0.1, "outside": 0.9})
    assert (called.among, called.evidence["lesion"]) == ("true_positive", pytest.approx(0.3))
    assert (missed.among, missed.evidence["lesion"]) == ("false_negative", pytest.approx(0.9))


@pytest.mark.parametrize("shares", [{"lesion": 0.5}, {"lesion": 1.5, "body": -0.5}])
def test_shares_that_do_not_add_up_are_refused(shares):
    with pytest.raises(ValueError, match="shares add up to 1"):
        RegionShares(evidence=shares, voxels={"body": 1.0})


@pytest.mark.parametrize("shape", [(1100, 700), (400, 200, 97)])
def test_the_border_of_a_grid_of_which_some_voxels_are_labelled(shape):
    """A labelled voxel is of the border as its own place says, whatever the steps between them are."""
    shown = body(tuple(size // 5 for size in shape), spacing=10.0)
    labels = body_labels(shown, geometry(shape))
    places = np.stack(np.meshgrid(*[np.arange(0, size, step) for size, step in zip(shape, labels.steps, strict=True)],
                                  indexing="ij"))  # fmt: skip
    sizes = np.reshape(shape, (-1, *[1] * len(shape)))
    bands = (0.02 * sizes).astype(int)
    border = ((places < bands) | (places >= sizes - bands)).any(axis=0)
    np.testing.assert_array_equal(labels.numbers == labels.names.index("border"), border)
    assert all(step > 1 for step in labels.steps)


def test_weights_are_summed_in_double_precision():
    labels = RegionLabels(np.zeros(4, np.uint8), (1,), ("body",))
    assert labels.weighed(np.array([2.0**24, 1, 1, 1], np.float32)) == {"body": 2.0**24 + 3}


def test_what_must_not_be_leaned_on_is_a_region_of_its_own():
    labels = RegionLabels(np.array([0, 1, 0], np.uint8), (2,), ("body", "outside"))
    marked = with_avoided(labels, np.array([False, True, True, False, True]))
    assert (marked.names, marked.numbers.tolist()) == (("body", "outside", "avoided"), [0, 2, 2])


def test_the_rest_is_divided_by_weight_and_nothing_is_said_where_there_is_none():
    assert _divided(0.5, {"body": 3.0, "outside": 1.0, "border": 0.0}) == {
        "lesion": 0.5,
        "body": 0.375,
        "outside": 0.125,
    }
    assert _divided(1 + 1e-9, {"body": 0.0}) == {"lesion": 1.0}
    assert _divided(1 + 1e-9, {"body": 2.0}) == {"lesion": 1.0}
    assert _divided(0.5, {"body": 0.0}) is None
    assert _divided(0.0, {"body": 2.0}) == {"body": 1.0}


def test_a_map_that_is_the_same_everywhere_has_no_shares():
    shown = body((20, 20))
    overlap = overlap_of(np.ones((20, 20)), np.zeros((20, 20), bool))
    assert shares_by(overlap, body_labels(shown, shown.grid)) is None


def of(method, lesion, reader="a", target="nodule"):
    shares = RegionShares(evidence={"lesion": lesion, "body": 1 - lesion}, voxels={"outside": 1.0})
    return entry(method, reader, 0.5, target=target).model_copy(update={"shares": shares})


def test_readers_are_averaged_within_a_study_and_baselines_have_no_part():
    rows = [study(0, of("gradcam", 0.2), of("gradcam", 0.6, "b"), of("random_map", 0.9)), study(1, of("gradcam", 0.1))]
    whole, called = cohort_shares(rows, ["nodule"])
    assert whole.evidence == pytest.approx({"lesion": 0.25, "body": 0.75})
    assert (whole.voxels, called.among, called.studies) == ({"outside": 1.0}, "true_positive", 2)


def test_strata_come_one_after_the_other_and_a_study_of_two_labels_is_one_study():
    both = study(
        0, of("gradcam", 0.2), of("hirescam", 0.4), of("gradcam", 0.6, target="oedema"), reference=("nodule", "oedema")
    )
    shares = cohort_shares([both], ["nodule", "oedema"])
    assert [(part.among, part.method) for part in shares] == [
        ("reference_positive", "gradcam"), ("reference_positive", "hirescam"),
        ("true_positive", "gradcam"), ("true_positive", "hirescam"), ("false_negative", "gradcam"),
    ]  # fmt: skip
    assert (shares[0].studies, shares[0].patients, shares[0].evidence["lesion"]) == (1, 1, pytest.approx(0.4))
