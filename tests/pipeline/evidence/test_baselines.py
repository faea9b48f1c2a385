import numpy as np

from pipeline.evidence.baselines import centre_prior, random_map
from pipeline.evidence.experts import agreement
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Mask


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


def test_agreement_by_hand():
    grid = Geometry((2, 2), np.eye(4))
    one = Mask(np.array([[1, 1], [0, 0]], bool), grid, "nodule", "b")
    other = Mask(np.array([[1, 0], [1, 1]], bool), grid, "nodule", "a")
    empty = Mask(np.zeros((2, 2), bool), grid, "effusion", "a")
    found = agreement((one, other, empty))
    ((key, scores),) = found.items()
    assert key == ("nodule", "a", "b")
    assert {score.name: score.value for score in scores} == {"iou": 1 / 4, "dice": 2 / 5}


def test_two_empty_masks_are_not_perfect_agreement():
    grid = Geometry((2, 2), np.eye(4))
    pair = tuple(Mask(np.zeros((2, 2), bool), grid, "nodule", reader) for reader in "ab")
    (scores,) = agreement(pair).values()
    assert {score.reason for score in scores} == {"empty_masks"}
