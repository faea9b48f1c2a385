import numpy as np

from pipeline.evidence.baselines import CentrePriors, centre_prior, random_map
from pipeline.evidence.metrics.map_evidence import MaskedEvidence
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


def test_the_centre_prior_is_made_once_for_studies_of_one_grid():
    priors, made = CentrePriors(), []

    def evidence_of(heatmap):
        made.append(heatmap.geometry)
        return MaskedEvidence(heatmap, "otsu")

    def asked(spacing=1.0, origin=0.0, shape=(5, 7), seen=None, scaled=True):
        affine = np.diag([spacing, 1.0, 1.0, 1.0])
        affine[0, 3] = origin
        geometry = Geometry(shape, affine, scaled=scaled)
        evidence = priors.evidence(geometry, np.ones(shape, bool) if seen is None else seen, evidence_of)
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
