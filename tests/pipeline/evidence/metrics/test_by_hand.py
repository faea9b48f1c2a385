"""Every metric on 2 x 2 x 2 voxels, computed by hand; and what a map at the ends of what can come gives."""

from itertools import product

import numpy as np
import pytest

from pipeline.evidence.metrics.registry import METRICS
from tests.pipeline.evidence.metrics.scenes_by_hand import answer, overlap_of

VALUES = [[[8, 4], [2, 0]], [[6, 1], [3, 0]]]
MASK = [[[1, 1], [1, 1]], [[0, 0], [0, 0]]]  # the values 8, 4, 2, 0; the region is 8 and 6
SPACING = (1.0, 2.0, 3.0)
APART = 13**0.5  # of (0, 1, 1) from (0, 0, 0)
BY_HAND = {
    "iou": 1 / 5,
    "dice": 2 / 6,
    "hit_rate": 1,
    "energy_in_mask": 14 / 24,
    "average_precision": (1 / 1 + 2 / 3 + 3 / 5 + 4 / 8) / 4,
    "voxel_precision": 1 / 2,
    "voxel_recall": 1 / 4,
    "voxel_specificity": 3 / 4,
    "voxel_auroc": (4 + 3 + 2 + 0.5) / 16,  # of the 4 outside, how many each of the mask's exceeds
    "rank_accuracy": 2 / 4,  # the highest four are 8, 6, 4 and 3
    "top_percent": 1,
    "inside_outside": 3.5 / (3.5 + 2.5),
    "hit_within": 1,
    "centre_distance": 0,
    "mass_centre_distance": ((10 / 24) ** 2 + (10 / 24 - 1) ** 2 + (15 / 24 - 1.5) ** 2) ** 0.5,
    "hd95": 3 + 0.85 * (APART - 3),  # of 0, 2, 3 and the square root of 13
    "assd": (0 + 1 + 0 + 2 + 3 + APART) / 6,
    "surface_dice": 1,  # everything lies within 5 mm
    "lesion_sensitivity": 1,
    "froc": 1,
    "false_marks": 0,
}


NOWHERE = "constant_map"
WITHOUT_A_REGION = {
    **dict.fromkeys(METRICS, NOWHERE),
    **dict.fromkeys(("iou", "dice", "voxel_recall", "surface_dice", "lesion_sensitivity", "froc", "false_marks"), 0),
    **dict.fromkeys(("voxel_precision", "hd95", "assd"), "empty_region"),
    "voxel_specificity": 1,
}
"""Of a map that is the same everywhere, or nowhere positive."""
ENDS = {
    "an empty mask": (VALUES, [[[0, 0], [0, 0]]] * 2, {**dict.fromkeys(METRICS, "empty_mask"), "false_marks": 1}),
    "a mask of everything": (
        VALUES,
        [[[1, 1], [1, 1]]] * 2,
        {
            **dict.fromkeys(METRICS, 1),
            **dict.fromkeys(("voxel_specificity", "voxel_auroc", "inside_outside"), "mask_is_everything"),
            "iou": 2 / 8,
            "dice": 4 / 10,
            "voxel_recall": 2 / 8,
            "centre_distance": 0,
            "mass_centre_distance": ((2 / 24) ** 2 + (2 * 7 / 24) ** 2 + (3 * 7 / 24) ** 2) ** 0.5,
            "hd95": APART,  # of 0, 2, 3 and the square root of 13, each twice
            "assd": (2 * (2 + 3 + APART) + 2 * 0) / 10,
            "false_marks": 0,
        },
    ),
    "a map tied at two levels": (
        [[[4, 4], [0, 0]]] * 2,
        MASK,
        {
            **dict.fromkeys(METRICS, 1 / 2),
            **dict.fromkeys(("hit_within", "surface_dice", "lesion_sensitivity", "froc"), 1),
            "iou": 2 / 6,
            "centre_distance": 0,  # the middle of the tied lies on the face of a voxel of the mask
            "mass_centre_distance": (0.5**2 + (2 * 0.5) ** 2) ** 0.5,
            "hd95": 2,
            "assd": (2 * 1 + 2 * 2) / 8,
            "false_marks": 0,
        },
    ),
    "a constant map": (np.full((2, 2, 2), 3), MASK, WITHOUT_A_REGION),
    "a map of zeros": (np.zeros((2, 2, 2)), MASK, WITHOUT_A_REGION),
    "a map that speaks against everywhere": (-np.array(VALUES), MASK, WITHOUT_A_REGION),
}


def test_every_metric_is_computed_by_hand():
    """A metric that is registered without these is none that was checked."""
    assert set(BY_HAND) == set(METRICS)


@pytest.mark.parametrize("end", list(ENDS))
@pytest.mark.parametrize("name", list(METRICS))
def test_at_the_ends_of_what_can_come(name, end):
    values, mask, expected = ENDS[end]
    given = answer(overlap_of(values, mask, SPACING), name)
    assert given == (expected[name] if isinstance(given, str) else pytest.approx(expected[name], abs=1e-12))


@pytest.mark.parametrize("name", list(METRICS))
def test_by_hand(name):
    assert answer(overlap_of(VALUES, MASK, SPACING), name) == pytest.approx(BY_HAND[name], abs=1e-12)


@pytest.mark.parametrize("name", list(METRICS))
def test_a_mask_in_fortran_order_is_the_same_mask(name):
    """NIfTI files come so."""
    turned = overlap_of(np.asfortranarray(np.float32(VALUES)), np.asfortranarray(np.array(MASK, bool)), SPACING)
    assert answer(turned, name) == pytest.approx(BY_HAND[name], abs=1e-12)


def test_voxels_tied_for_the_last_place_count_in_proportion():
    overlap = overlap_of([[5, 3, 3, 3, 0]], [[1, 1, 0, 0, 0]])
    assert answer(overlap, "rank_accuracy") == pytest.approx((1 + 1 / 3) / 2)


def test_the_highest_percent_is_taken_of_what_was_seen():
    values = np.arange(1000, dtype=np.float32).reshape(20, 50)
    mask = values >= 995
    assert answer(overlap_of(values, mask), "top_percent") == 5 / 10
    half = values < 500
    assert answer(overlap_of(values, values >= 498, seen=half), "top_percent") == 2 / 5


def test_nothing_outside_is_no_infinite_ratio():
    assert answer(overlap_of([[4, 2, 0, 0]], [[1, 1, 0, 0]]), "inside_outside") == 1


def test_what_is_hardly_there_outside_does_not_cancel():
    values = np.full((10, 10), 1e-30, np.float32)
    values[0] = 1
    mask = np.zeros((10, 10), bool)
    mask[0] = True
    mean = answer(overlap_of(values, mask), "inside_outside")
    assert 1 - mean == pytest.approx(0, abs=1e-15)
    assert answer(overlap_of(values, ~mask), "inside_outside") == pytest.approx(1e-30, rel=1e-5)


def test_a_region_is_counted_voxel_by_voxel():
    for values, mask in cases():
        overlap = overlap_of(values, mask, rule=0.3)
        pairs = list(zip(overlap.evidence.region.ravel().tolist(), mask.ravel().tolist(), strict=True))
        right, wrong, missed, left_out = (pairs.count(kind) for kind in ((1, 1), (1, 0), (0, 1), (0, 0)))
        expected = {
            "iou": right / (right + wrong + missed),
            "dice": 2 * right / (2 * right + wrong + missed),
            "voxel_precision": right / (right + wrong),
            "voxel_recall": right / (right + missed),
            "voxel_specificity": left_out / (left_out + wrong),
        }
        assert {name: answer(overlap, name) for name in expected} == pytest.approx(expected, abs=1e-12)


def slow_auroc(values, mask):
    pairs = product(values[mask].tolist(), values[~mask].tolist())
    wins = [1.0 if inside > outside else 0.5 if inside == outside else 0.0 for inside, outside in pairs]
    return sum(wins) / len(wins)


def slow_share_of_highest(values, mask, count):
    """The mean over both orders in which ties can stand: the mask's first, and the mask's last."""
    shares = []
    for sign in (1, -1):
        order = sorted(range(values.size), key=lambda at: (-values.flat[at], sign * mask.flat[at]))
        shares.append(sum(bool(mask.flat[at]) for at in order[:count]))
    return shares


def cases():
    generator = np.random.default_rng(4)
    for number in range(12):
        shape = [(6, 7), (4, 5, 3)][number % 2]
        values = generator.integers(-2, 4, shape) if number < 8 else generator.normal(size=shape)
        mask = generator.random(shape) < 0.3
        mask.flat[0], mask.flat[1] = True, False
        yield values.astype(np.float32), mask


def test_ranks_are_those_of_the_slow_definition():
    for values, mask in cases():
        positive, overlap = np.maximum(values, 0), overlap_of(values, mask)
        assert answer(overlap, "voxel_auroc") == pytest.approx(slow_auroc(positive, mask), abs=1e-12)
        least, most = sorted(slow_share_of_highest(positive, mask, int(mask.sum())))
        accuracy = answer(overlap, "rank_accuracy") * mask.sum()
        assert least - 1e-9 <= accuracy <= most + 1e-9
        if least == most:
            assert accuracy == pytest.approx(least)


def test_the_highest_percent_is_the_nearest_whole_number_of_voxels():
    """Of 160 voxels 1.6 are two; the mask has one of them."""
    values = np.arange(160.0).reshape(8, 20)
    assert answer(overlap_of(values, values == 159), "top_percent") == 1 / 2


def test_ranks_are_scikit_learns():
    learn = pytest.importorskip("sklearn.metrics")
    for values, mask in cases():
        positive, overlap = np.maximum(values, 0).ravel(), overlap_of(values, mask)
        for name, function in (
            ("voxel_auroc", learn.roc_auc_score),
            ("average_precision", learn.average_precision_score),
        ):
            assert answer(overlap, name) == pytest.approx(function(mask.ravel(), positive), abs=1e-12)
        region = overlap.evidence.region.ravel()
        truth = mask.ravel()
        assert answer(overlap, "iou") == pytest.approx(learn.jaccard_score(truth, region), abs=1e-12)
        assert answer(overlap, "dice") == pytest.approx(learn.f1_score(truth, region), abs=1e-12)
        assert answer(overlap, "voxel_precision") == pytest.approx(learn.precision_score(truth, region), abs=1e-12)
        assert answer(overlap, "voxel_recall") == pytest.approx(learn.recall_score(truth, region), abs=1e-12)
        assert answer(overlap, "voxel_specificity") == pytest.approx(learn.recall_score(~truth, ~region), abs=1e-12)


@pytest.mark.parametrize("factor", [2.0**-126, 2.0**100])
@pytest.mark.parametrize("name", list(METRICS))
def test_the_smallest_and_the_largest_maps_score_the_same(name, factor):
    scaled = np.float32(VALUES) * np.float32(factor)
    assert answer(overlap_of(scaled, MASK, SPACING), name) == pytest.approx(BY_HAND[name], abs=1e-12)


@pytest.mark.parametrize("name", list(METRICS))
def test_a_map_that_is_nearly_constant_counts_as_constant(name):
    values = 1 + np.float32(VALUES) * np.finfo(np.float32).eps
    flat, nearly = (answer(overlap_of(of, MASK, SPACING), name) for of in (np.ones((2, 2, 2)), values))
    assert nearly == flat


@pytest.mark.parametrize("name", list(METRICS))
def test_a_part_of_the_mask_that_was_not_seen(name):
    """Left out of ranks, missed by regions, and part of the mask for distances."""
    seen = np.ones((2, 2, 2), bool)
    seen[0, 1, 1] = False  # of the mask, with the value 0
    expected = BY_HAND | {
        "average_precision": (1 / 1 + 2 / 3 + 3 / 5) / 3,
        "voxel_auroc": (4 + 3 + 2) / 12,
        "rank_accuracy": 2 / 3,
        "inside_outside": (14 / 3) / (14 / 3 + 2.5),
    }
    assert answer(overlap_of(VALUES, MASK, SPACING, seen), name) == pytest.approx(expected[name], abs=1e-12)
