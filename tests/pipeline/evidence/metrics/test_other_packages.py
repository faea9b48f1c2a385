"""The packages whose definitions are meant, where they are installed: surface-distance, and MetricsReloaded's code."""

import pytest

from tests.pipeline.evidence.metrics.scenes_by_hand import answer, overlap_of
from tests.pipeline.evidence.metrics.test_surfaces import SPACING, blobs

pytestmark = pytest.mark.filterwarnings("ignore")  # of the other packages

SCENES = [(axes, seed) for axes in (2, 3) for seed in range(20)]


def test_the_normalised_surface_dice_is_that_of_its_authors_code():
    package = pytest.importorskip("surface_distance")
    for axes, seed in SCENES:
        region, mask = blobs(axes, seed)
        distances = package.compute_surface_distances(mask, region, SPACING[axes])
        tolerance = 0.5 + 0.17 * seed
        expected = package.compute_surface_dice_at_tolerance(distances, tolerance)
        overlap = overlap_of(region, mask, SPACING[axes], tolerance_mm=tolerance)
        assert answer(overlap, "surface_dice") == pytest.approx(expected, abs=1e-12)


def test_what_metrics_reloaded_defines_is_what_its_code_gives():
    package = pytest.importorskip("MetricsReloaded.metrics.pairwise_measures")
    for axes, seed in SCENES:
        region, mask = blobs(axes, seed)
        theirs = package.BinaryPairwiseMeasures(
            region.astype(int),
            mask.astype(int),
            connectivity_type=1,
            pixdim=list(SPACING[axes]),
            dict_args={"hd_perc": 95, "beta": 1},
        )
        overlap = overlap_of(region, mask, SPACING[axes])
        for name, expected in {
            "hd95": theirs.measured_hausdorff_distance_perc(),
            "assd": theirs.measured_average_distance(),
            "mass_centre_distance": theirs.com_dist(),
            "dice": theirs.fbeta(),
            "iou": theirs.intersection_over_union(),
            "voxel_recall": theirs.sensitivity(),
            "voxel_specificity": theirs.specificity(),
            "voxel_precision": theirs.positive_predictive_value(),
        }.items():  # it adds 1e-6 to some divisors
            assert answer(overlap, name) == pytest.approx(float(expected), abs=1e-6), name
