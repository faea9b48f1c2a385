from itertools import permutations

import numpy as np
import pytest
from skimage.filters import threshold_otsu

from pipeline.evidence.metrics.map_evidence import MarkedVoxels, MaskedEvidence, RegionOverlap
from pipeline.evidence.metrics.registry import METRICS, score_all
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap

SHAPES = [(6, 7), (5, 6, 4)]


def evidence(values, seen=None, rule=0.5):
    values = np.asarray(values, dtype=np.float32)
    seen = np.ones(values.shape, bool) if seen is None else np.asarray(seen, bool)
    return MaskedEvidence(Heatmap(values, Geometry(values.shape, np.eye(4)), seen, "m", "l", "t"), rule)


def scores(values, mask, seen=None, rule=0.5):
    every = score_all(overlap_of(values, mask, seen, rule))
    return {score.name: score.reason if score.value is None else score.value for score in every}


def overlap_of(values, mask, seen=None, rule=0.5):
    masked = evidence(values, seen, rule)
    return RegionOverlap(masked, MarkedVoxels(np.asarray(mask, bool), masked.heatmap.geometry))


def slow_average_precision(values, mask):
    """Step through every distinct value from the top: recall step times precision."""
    total, before, area = mask.sum(), 0, 0.0
    for level in sorted(set(values.ravel().tolist()), reverse=True):
        above = values >= level
        hits = (above & mask).sum()
        area += (hits - before) / total * hits / above.sum()
        before = hits
    return area


def test_two_by_two_by_hand():
    # region at half the maximum: the two left voxels; mask: the two upper ones
    answers = scores([[4, 1], [3, 0]], [[1, 1], [0, 0]])
    assert answers["iou"] == pytest.approx(1 / 3)
    assert answers["dice"] == pytest.approx(1 / 2)
    assert answers["hit_rate"] == 1
    assert answers["energy_in_mask"] == pytest.approx(5 / 8)
    assert answers["average_precision"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_negative_evidence_is_no_evidence():
    answers = scores([[-9, 1], [2, 0]], [[1, 0], [0, 0]])
    assert answers["hit_rate"] == 0
    assert answers["energy_in_mask"] == 0
    assert answers["iou"] == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_average_precision_equals_the_slow_definition(shape):
    generator = np.random.default_rng(0)
    for _ in range(20):
        values = generator.integers(0, 5, shape).astype(np.float32)  # few levels: many ties
        mask = generator.random(shape) < 0.2
        mask.flat[0] = True
        assert scores(values, mask)["average_precision"] == pytest.approx(slow_average_precision(values, mask))


@pytest.mark.parametrize(("marked", "seen"), [(1, 1), (1, 4), (2, 4), (3, 5), (6, 6)])
def test_the_chance_of_average_precision_is_the_mean_over_all_orders(marked, seen):
    """Every order of the voxels, each by the slow definition."""
    orders = [np.float32(order)[None] for order in permutations(range(1, seen + 1))]
    mask = (np.arange(seen) < marked)[None]
    expected = np.mean([slow_average_precision(values, mask) for values in orders])
    values = np.arange(1, seen + 1, dtype=np.float32)[None]
    if seen == 1:  # one voxel is a constant map; the level itself is defined
        assert METRICS["average_precision"].chance(overlap_of(values, mask)) == pytest.approx(expected)
        return
    (score,) = score_all(overlap_of(values, mask), [METRICS["average_precision"]])
    assert score.chance == pytest.approx(expected)


def test_an_empty_mask_leaves_nothing_but_false_marks():
    answers = scores([[1, 2], [3, 4]], np.zeros((2, 2)))
    assert answers.pop("false_marks") == 1
    assert set(answers.values()) == {"empty_mask"}


@pytest.mark.parametrize("level", [0.0, 3.0])
def test_constant_map_points_nowhere(level):
    answers = scores(np.full((3, 3), level), np.eye(3))
    assert answers["iou"] == answers["dice"] == 0
    assert answers["voxel_recall"] == answers["surface_dice"] == answers["lesion_sensitivity"] == answers["froc"] == 0
    assert answers["voxel_specificity"] == 1
    assert answers["false_marks"] == 0
    assert {name for name, score in answers.items() if score == "empty_region"} == {"voxel_precision", "hd95", "assd"}
    assert {name for name, score in answers.items() if score == "constant_map"} == {
        *("hit_rate", "energy_in_mask", "average_precision", "voxel_auroc", "rank_accuracy", "top_percent"),
        *("inside_outside", "hit_within", "centre_distance", "mass_centre_distance"),
    }
    assert evidence(np.full((3, 3), level)).degenerate


def test_tied_maxima_count_in_proportion():
    assert scores([[5, 5], [5, 0]], [[1, 0], [0, 0]])["hit_rate"] == pytest.approx(1 / 3)


def test_unseen_voxels_are_missed_by_regions_and_left_out_of_rankings():
    seen = [[1, 1], [0, 0]]
    answers = scores([[2, 1], [9, 9]], [[1, 0], [1, 0]], seen)
    assert answers["iou"] == pytest.approx(1 / 2)  # the unseen half of the mask counts as missed
    assert answers["hit_rate"] == 1  # the 9s are not evidence: the model never saw them
    assert answers["energy_in_mask"] == pytest.approx(2 / 3)
    assert answers["average_precision"] == 1  # the seen half of the mask stands at the top of what was seen
    half = overlap_of([[2, 1], [9, 9]], [[1, 0], [1, 0]], seen)
    assert METRICS["energy_in_mask"].chance(half) == 1 / 2
    assert scores([[2, 1], [0, 0]], [[0, 0], [1, 1]], seen)["hit_rate"] == "mask_outside_field_of_view"


def test_otsu_splits_two_populations():
    values = np.r_[np.full(50, 0.1), np.full(10, 0.9)].reshape(6, 10)
    masked = evidence(values, rule="otsu")
    assert masked.region.sum() == 10
    assert 0.1 <= masked.threshold < 0.9


def test_overlap_needs_no_square():
    assert overlap_of(np.arange(6).reshape(1, 6), [[0, 0, 0, 0, 0, 1]]).visible_voxels == 1


FLOAT32 = np.finfo(np.float32)


def blob(shape=(24, 20)):
    """Return a smooth map with negative parts and a mask beside its peak."""
    rows, columns = np.indices(shape)
    values = np.exp(-(((rows - 9) / 5) ** 2) - ((columns - 12) / 4) ** 2) - 0.1 * np.sin(rows)
    return values.astype(np.float32), np.hypot(rows - 8, columns - 10) < 5


@pytest.mark.parametrize("rule", ["otsu", 0.3])
@pytest.mark.parametrize("power", [-120, -40, -1, 1, 60, 126])
def test_a_power_of_two_changes_no_score(rule, power):
    values, mask = blob()
    values[np.abs(values) < 2.0**-6] = 0  # smaller values would be rounded at the lower end
    assert scores(np.ldexp(values, power), mask, rule=rule) == scores(values, mask, rule=rule)


@pytest.mark.parametrize("rule", ["otsu", 0.3])
@pytest.mark.parametrize("scale", [1e-38, 1e-37, 1e-30, 1e-12, 3.0, 1e12, 1e37, 1e38, 2.9e38])
def test_no_factor_changes_a_score_by_more_than_rounding(rule, scale):
    values, mask = blob()
    scaled = (values.astype(np.float64) * scale).astype(np.float32)
    assert scores(scaled, mask, rule=rule) == pytest.approx(scores(values, mask, rule=rule), abs=1e-5)


def odd_maps():
    unit, top, least = np.float32(1), FLOAT32.max, FLOAT32.smallest_subnormal
    corner = np.zeros((5, 5), np.float32)
    corner[2, 2] = 1
    return {
        "constant": np.full((5, 5), unit),
        "an ulp apart": np.where(corner, np.nextafter(unit, np.float32(2)), unit),
        "rounding": unit + np.random.default_rng(0).integers(-2, 3, (5, 5)).astype(np.float32) * FLOAT32.eps,
        "single voxel": corner,
        "two values": 1 + corner,
        "hardly two values": 1 + 1e-5 * corner,
        "a millionth in the way": np.where(np.eye(5), 1e-6, 0).astype(np.float32) + corner,
        "largest": top * corner,
        "all largest": np.full((5, 5), top),
        "both ends": np.where(np.eye(5), -top, top),
        "smallest": least * corner,
        "least and largest": np.where(corner, top, least),
        "nothing": np.zeros((5, 5), np.float32),
        "against": -corner,
    }


FLAT = {"constant", "an ulp apart", "rounding", "all largest", "nothing", "against"}


@pytest.mark.parametrize("rule", ["otsu", 0.2, 0.5, 0.999])
@pytest.mark.parametrize("name", list(odd_maps()))
def test_no_finite_map_raises(name, rule):
    values, mask = odd_maps()[name].astype(np.float32), np.eye(5, dtype=bool)
    masked = evidence(values, rule=rule)
    assert masked.degenerate == (name in FLAT)
    for metric, score in scores(values, mask, rule=rule).items():
        assert score in ("constant_map", "empty_region") or 0 <= score <= (METRICS[metric].range[1] or 100)
    assert bool(masked.region.any()) != masked.degenerate
    assert masked.threshold is None or np.float32(masked.threshold) == masked.threshold


@pytest.mark.parametrize("name", sorted(set(odd_maps()) - FLAT))
def test_two_populations_are_told_apart_at_any_scale(name):
    values = odd_maps()[name].astype(np.float32)
    assert evidence(values, rule="otsu").region.tolist() == (values == values.max()).tolist()


def test_random_maps_at_random_scales_never_raise():
    generator = np.random.default_rng(5)
    for _ in range(200):
        values = generator.normal(size=(4, 4)) ** generator.integers(1, 9) * 10.0 ** generator.uniform(-45, 37)
        answers = scores(np.clip(values, -FLOAT32.max, FLOAT32.max), generator.random((4, 4)) < 0.3, rule="otsu")
        for name, score in answers.items():
            assert isinstance(score, str) or 0 <= score <= (METRICS[name].range[1] or 100)


@pytest.mark.parametrize("offset", [0.0, 0.7])
def test_otsu_is_scikit_images_in_float64(offset):
    generator = np.random.default_rng(3)
    for size in (3, 40, 3000):
        values = (offset + generator.gamma(2, size=size) ** 2).astype(np.float32).reshape(1, -1)
        expected = threshold_otsu(values.astype(np.float64))
        assert evidence(values, rule="otsu").threshold == pytest.approx(expected, rel=1e-6)


def test_a_threshold_marks_the_same_voxels_wherever_it_is_compared():
    """The report draws the region again from float32 planes and the threshold that was kept."""
    values = np.float32([[1, 1 + FLOAT32.eps, 1 + 2 * FLOAT32.eps, 3]])
    masked = evidence(values, rule=float((1 + 1.4 * FLOAT32.eps) / 3))
    assert masked.region.tolist() == [[False, False, True, True]]
    assert (
        (values > masked.threshold).tolist()
        == (values > np.float64(masked.threshold)).tolist()
        == masked.region.tolist()
    )
