import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes, gaussian_filter
from scipy.ndimage import label as parts_of

from pipeline.evidence.baselines import CentrePriors, body_mask, centre_prior, edge_map, random_map
from pipeline.evidence.metrics.map_evidence import MaskedEvidence
from pipeline.evidence.shown_body import ShownBody
from pipeline.studies.geometry import Geometry


def test_random_map_depends_on_seed_and_study_alone():
    assert np.array_equal(random_map((4, 5), 0, "S-1"), random_map((4, 5), 0, "S-1"))
    assert not np.array_equal(random_map((4, 5), 0, "S-1"), random_map((4, 5), 0, "S-2"))
    assert not np.array_equal(random_map((4, 5), 0, "S-1"), random_map((4, 5), 1, "S-1"))


def test_centre_prior_peaks_at_the_centre_and_is_symmetric():
    prior = centre_prior(Geometry((5, 7, 9), np.diag([1.0, 2, 3, 1])))
    assert np.unravel_index(prior.argmax(), prior.shape) == (2, 3, 4)
    assert np.allclose(prior, prior[::-1, ::-1, ::-1])
    # one standard deviation is a quarter of the extent: exp(-1/2 (2 / (9 / 4))^2) two voxels off
    assert np.isclose(prior[2, 3, 6] / prior[2, 3, 4], np.exp(-0.5 * (2 / 2.25) ** 2))


def test_edges_are_slopes_per_mm_over_all_channels():
    x = np.zeros((2, 5, 4), np.float32)
    x[0] = 3 * np.arange(5)[:, None]  # 3 in a voxel of 2 mm
    x[1] = 2 * np.arange(4)[None]  # 2 in a voxel of 0.5 mm
    assert edge_map(x, (2.0, 0.5)) == pytest.approx(np.full((5, 4), (1.5**2 + 4**2) ** 0.5))
    step = np.zeros((1, 6, 1), np.float32)
    step[0, 3:] = 1
    assert edge_map(step, (1.0, 1.0))[:, 0].tolist() == [0, 0, 0.5, 0.5, 0, 0]  # and one voxel has no slope


def test_the_body_is_the_largest_bright_piece_without_its_holes():
    x = np.zeros((1, 12, 12), np.float32)
    x[0, 2:9, 2:9] = 1
    x[0, 4:6, 4:6] = 0  # a lung
    x[0, 11, 11] = 3  # a marker
    expected = np.zeros((12, 12))
    expected[2:9, 2:9] = 1
    assert np.array_equal(body_mask(np.minimum(x, 1)), expected)
    assert np.array_equal(body_mask(np.concatenate([np.minimum(x, 1)] * 2)), expected)
    assert not body_mask(np.ones((1, 3, 3), np.float32)).any()


@pytest.mark.parametrize("shape", [(24, 20, 16), (40, 30)])
def test_the_body_mask_fills_what_no_way_leads_out_of(shape):
    smooth = gaussian_filter(np.random.default_rng(3).normal(size=shape), 0.7)
    bright = smooth > np.quantile(smooth, 0.3)
    numbers, _ = parts_of(bright, np.ones((3,) * len(shape)))
    sizes = np.bincount(numbers.ravel())
    largest = numbers == 1 + np.argmax(sizes[1:])
    expected = binary_fill_holes(largest)
    assert expected.sum() > largest.sum(), "something is enclosed"
    np.testing.assert_array_equal(body_mask(bright.astype(np.float32)[None]), expected)


@pytest.mark.parametrize(("longest", "in_full"), [(63, True), (64, False), (100, False)])
def test_the_outlined_body_knows_the_bright_piece_of_the_mask_where_no_voxel_is_left_out(longest, in_full):
    x = np.random.default_rng(1).normal(size=(2, longest, 6, 5)).astype(np.float32)
    body = ShownBody(x, Geometry(x.shape[1:], np.eye(4)))
    assert body.in_full is in_full
    if in_full:
        np.testing.assert_array_equal(body_mask(x, body.bright), body_mask(x))


def test_the_centre_prior_is_made_once_for_studies_of_one_grid():
    priors, made = CentrePriors(), []

    def evidence_of(heatmap):
        made.append(heatmap.geometry)
        return MaskedEvidence(heatmap, "otsu")

    def asked(spacing=1.0, origin=0.0, shape=(5, 7), seen=None, scaled=True):
        affine = np.diag([spacing, 1.0, 1.0, 1.0])
        affine[0, 3] = origin
        geometry = Geometry(shape, affine, scaled=scaled)
        seen = np.ones(shape, bool) if seen is None else seen
        evidence = priors.evidence(geometry, seen, evidence_of)
        assert np.array_equal(evidence.heatmap.seen, seen)
        assert np.array_equal(evidence.heatmap.array, centre_prior(geometry))
        assert evidence.heatmap.geometry.spacing == geometry.spacing
        assert evidence.heatmap.geometry.scaled == scaled
        return len(made)

    assert [asked(), asked(), asked(origin=40.0)] == [1, 1, 1]
    assert asked(spacing=2.0) == 2
    assert asked(spacing=2.0, scaled=False) == 3
    assert asked(shape=(7, 5)) == 4
    partly = np.ones((7, 5), bool)
    partly[0] = False
    assert asked(shape=(7, 5), seen=partly) == 5
    assert [asked(shape=(7, 5)), asked()] == [5, 6]  # one grid is kept, the last
