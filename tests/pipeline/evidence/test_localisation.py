import numpy as np
import pytest

from pipeline.evidence.localisation import METRICS, Evidence, Overlap, score_all
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap, Mask

SHAPES = [(6, 7), (5, 6, 4)]


def evidence(values, seen=None, rule=0.5):
    values = np.asarray(values, dtype=np.float32)
    seen = np.ones(values.shape, bool) if seen is None else np.asarray(seen, bool)
    return Evidence(Heatmap(values, Geometry(values.shape, np.eye(4)), seen, "m", "l", "t"), rule)


def scores(values, mask, seen=None, rule=0.5):
    one = evidence(values, seen, rule)
    found = score_all(one, Mask(np.asarray(mask, bool), one.heatmap.geometry, "t", "r"))
    return {score.name: score.reason if score.value is None else score.value for score in found}


def slow_average_precision(values, mask):
    """Step through every distinct value from the top: recall step times precision."""
    total, before, area = mask.sum(), 0, 0.0
    for level in sorted(set(values.ravel().tolist()), reverse=True):
        above = values >= level
        found = (above & mask).sum()
        area += (found - before) / total * found / above.sum()
        before = found
    return area


def test_two_by_two_by_hand():
    # region at half the maximum: the two left voxels; mask: the two upper ones
    found = scores([[4, 1], [3, 0]], [[1, 1], [0, 0]])
    assert found["iou"] == pytest.approx(1 / 3)
    assert found["dice"] == pytest.approx(1 / 2)
    assert found["hit_rate"] == 1
    assert found["energy_in_mask"] == pytest.approx(5 / 8)
    assert found["average_precision"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_negative_evidence_is_no_evidence():
    found = scores([[-9, 1], [2, 0]], [[1, 0], [0, 0]])
    assert found["hit_rate"] == 0
    assert found["energy_in_mask"] == 0
    assert found["iou"] == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_average_precision_equals_the_slow_definition(shape):
    generator = np.random.default_rng(0)
    for _ in range(20):
        values = generator.integers(0, 5, shape).astype(np.float32)  # few levels: many ties
        mask = generator.random(shape) < 0.2
        mask.flat[0] = True
        assert scores(values, mask)["average_precision"] == pytest.approx(slow_average_precision(values, mask))


def test_chance_is_the_masks_share_for_a_random_map():
    generator = np.random.default_rng(1)
    mask = np.zeros((60, 60), bool)
    mask[:20, :30] = True
    found = [scores(generator.random((60, 60)), mask) for _ in range(60)]
    for name, metric in METRICS.items():
        if metric.chance == "mask_share":
            # a maximum is one draw of sixty: its standard error is 0.05
            mean = np.mean([one[name] for one in found])
            assert mean == pytest.approx(mask.mean(), abs=0.15 if name == "hit_rate" else 0.01)


@pytest.mark.parametrize("name", list(METRICS))
@pytest.mark.parametrize("shape", SHAPES)
def test_declared_properties(name, shape):
    generator = np.random.default_rng(2)
    values = generator.normal(size=shape)
    mask = generator.random(shape) < 0.3
    score = scores(values, mask, rule="otsu")[name]
    low, high = METRICS[name].range
    assert low <= score <= high
    if METRICS[name].scale_invariant:
        assert scores(values * 8, mask, rule="otsu")[name] == pytest.approx(score, abs=1e-6)
    order = generator.permutation(values.size)
    shuffled = scores(values.ravel()[order].reshape(shape), mask.ravel()[order].reshape(shape), rule="otsu")[name]
    assert shuffled == pytest.approx(score)
    perfect = scores(mask.astype(float), mask)[name]
    assert perfect == METRICS[name].range[1]


def test_empty_mask_is_undefined_everywhere():
    assert set(scores([[1, 2], [3, 4]], np.zeros((2, 2))).values()) == {"empty_mask"}


@pytest.mark.parametrize("level", [0.0, 3.0])
def test_constant_map_points_nowhere(level):
    found = scores(np.full((3, 3), level), np.eye(3))
    assert found["iou"] == found["dice"] == 0
    assert {found[name] for name in ("hit_rate", "energy_in_mask", "average_precision")} == {"constant_map"}
    assert evidence(np.full((3, 3), level)).degenerate


def test_tied_maxima_count_in_proportion():
    assert scores([[5, 5], [5, 0]], [[1, 0], [0, 0]])["hit_rate"] == pytest.approx(1 / 3)


def test_unseen_voxels_are_missed_by_regions_and_left_out_of_rankings():
    seen = [[1, 1], [0, 0]]
    found = scores([[2, 1], [9, 9]], [[1, 0], [1, 0]], seen)
    assert found["iou"] == pytest.approx(1 / 2)  # the unseen half of the mask counts as missed
    assert found["hit_rate"] == 1  # the 9s are not evidence: the model never saw them
    assert found["energy_in_mask"] == pytest.approx(2 / 3)
    assert scores([[2, 1], [0, 0]], [[0, 0], [1, 1]], seen)["hit_rate"] == "mask_outside_field_of_view"


def test_otsu_splits_two_populations():
    values = np.r_[np.full(50, 0.1), np.full(10, 0.9)].reshape(6, 10)
    one = evidence(values, rule="otsu")
    assert one.region.sum() == 10
    assert 0.1 <= one.threshold < 0.9


def test_overlap_needs_no_square():
    one = evidence(np.arange(6).reshape(1, 6))
    assert Overlap(one, np.array([[0, 0, 0, 0, 0, 1]], bool)).visible.sum() == 1
