import numpy as np
import pytest
import SimpleITK

from pipeline.errors import Reason
from pipeline.studies import consensus
from pipeline.studies.consensus import with_consensus
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Mask

SHAPE = (8, 12, 14)
GRID = Geometry(SHAPE, np.eye(4))


def masks(arrays, label="nodule"):
    return [Mask(array, GRID, label, f"r{number}") for number, array in enumerate(arrays)]


def together(arrays, method):
    agreed, faults = with_consensus(masks(arrays), [], method)
    assert not faults
    return agreed[-1].array


def balls(seed, readers):
    """Return readers who disagree about place and size, one of them careless, another perhaps blind."""
    random = np.random.default_rng(seed)
    indices = np.stack(np.mgrid[tuple(slice(size) for size in SHAPE)], axis=-1)
    arrays = []
    for _ in range(readers):
        centre = random.normal((4, 6, 7), 1.2, 3)
        arrays.append(np.linalg.norm(indices - centre, axis=-1) < random.uniform(1.5, 4))
    arrays[0] ^= random.random(SHAPE) < 0.03
    return [array & (seed % 5 != 4 or number != 1) for number, array in enumerate(arrays)]


def patterns(readers):
    """Return masks in which each voxel of the first axes is one pattern of votes."""
    votes = np.arange(8 * 12 * 14).reshape(SHAPE) % 2**readers
    return votes, [(votes >> reader) & 1 == 1 for reader in range(readers)]


@pytest.mark.parametrize("readers", [2, 3, 4, 5])
def test_majority_is_more_than_half_and_a_tie_is_outside(readers):
    votes, arrays = patterns(readers)
    ayes = np.vectorize(lambda pattern: bin(pattern).count("1"))(votes)
    np.testing.assert_array_equal(together(arrays, "majority"), ayes > readers / 2)


@pytest.mark.parametrize("readers", [2, 3, 5])
@pytest.mark.parametrize("seed", range(6))
def test_staple_is_itks(seed, readers):
    arrays = balls(seed, readers)
    peer = SimpleITK.STAPLEImageFilter()
    peer.SetForegroundValue(1)
    found = peer.Execute([SimpleITK.GetImageFromArray(array.astype(np.uint8)) for array in arrays])
    np.testing.assert_array_equal(together(arrays, "staple"), SimpleITK.GetArrayFromImage(found) >= 0.5)


def test_staple_weighs_readers_and_majority_does_not():
    sure = np.zeros(SHAPE, bool)
    sure[2:6, 3:9, 3:10] = True
    random = np.random.default_rng(0)
    careless = [sure ^ (random.random(SHAPE) < 0.35) for _ in range(3)]
    arrays = [sure, sure, *careless]
    assert (together(arrays, "staple") != sure).sum() < (together(arrays, "majority") != sure).sum()


@pytest.mark.parametrize("method", ["majority", "staple"])
def test_readers_who_agree_are_their_own_consensus(method):
    array = balls(0, 1)[0]
    for one in (array, np.zeros(SHAPE, bool), np.ones(SHAPE, bool)):
        np.testing.assert_array_equal(together([one, one, one], method), one)


def test_each_label_of_two_readers_gets_a_consensus():
    arrays = balls(1, 3)
    given = [*masks(arrays), *masks(arrays[:1], "mass"), *masks(arrays[1:], "effusion"), *masks(arrays[:2], "")]
    found, _ = with_consensus(given, [], "majority")
    assert found[: len(given)] == given
    assert [(mask.label, mask.reader) for mask in found[len(given) :]] == [
        ("nodule", "consensus:majority"),
        ("effusion", "consensus:majority"),
    ]
    assert all(mask.geometry is GRID for mask in found)
    np.testing.assert_array_equal(found[-1].array, arrays[1] & arrays[2])


def test_too_many_readers_and_no_end_are_no_consensus(monkeypatch):
    array = balls(0, 1)[0]
    assert "16 readers, not 17" in without_end(masks([array] * 17), "majority")
    monkeypatch.setattr(consensus, "_ITERATIONS", 2)
    assert "after 2 rounds" in without_end(masks(balls(0, 3)), "staple")


def without_end(given, method):
    """Return why the readers' masks stay and come to no consensus."""
    agreed, (fault,) = with_consensus(given, [], method)
    assert agreed == given
    assert (fault.reader, fault.label, fault.reason) == (f"consensus:{method}", "nodule", Reason.NO_CONSENSUS)
    return fault.message
