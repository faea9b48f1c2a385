"""How well readers agree, pair by pair and each with the others together, by hand and by slow definitions."""

from itertools import combinations

import numpy as np
import pytest

from pipeline.evidence import experts
from pipeline.evidence.experts import agreement, others_name
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Mask

MAJORITY, STAPLE = others_name("majority"), others_name("staple")


def test_agreement_by_hand():
    grid = Geometry((2, 2), np.eye(4))
    first = Mask(np.array([[1, 1], [0, 0]], bool), grid, "nodule", "b")
    other = Mask(np.array([[1, 0], [1, 1]], bool), grid, "nodule", "a")
    empty = Mask(np.zeros((2, 2), bool), grid, "effusion", "a")
    pairs = agreement((first, other, empty))
    ((key, scores),) = pairs.items()
    assert key == ("nodule", "a", "b")
    assert {score.name: score.value for score in scores} == {"iou": 1 / 4, "dice": 2 / 5}


def test_two_empty_masks_are_not_perfect_agreement():
    grid = Geometry((2, 2), np.eye(4))
    pair = tuple(Mask(np.zeros((2, 2), bool), grid, "nodule", reader) for reader in "ab")
    (scores,) = agreement(pair).values()
    assert {score.reason for score in scores} == {"empty_masks"}


def masks_of(**readers):
    shape = np.shape(next(iter(readers.values())))
    grid = Geometry(shape, np.eye(4))
    return tuple(Mask(np.array(marked, bool), grid, "nodule", reader) for reader, marked in readers.items())


def values(scores):
    return {score.name: score.value for score in scores}


def test_a_reader_is_held_against_the_majority_of_the_others():
    marked = {"a": [[1, 1, 0, 0]], "b": [[1, 0, 1, 0]], "c": [[1, 0, 1, 1]], "d": [[0, 0, 1, 1]]}
    scores = agreement(masks_of(**marked))
    # of b, c and d two or more mark the first, third and fourth pixel; of these a has one, and one beside them
    assert values(scores["nodule", "a", MAJORITY]) == pytest.approx({"iou": 1 / 4, "dice": 2 / 5})
    pairs = {key[1:] for key in scores if not key[2].startswith("consensus:")}
    assert pairs == set(combinations("abcd", 2))
    assert {key[1:] for key in scores} - pairs == {(reader, name) for reader in "abcd" for name in (MAJORITY, STAPLE)}


def test_two_others_agree_where_both_mark():
    scores = agreement(masks_of(a=[[1, 1, 0]], b=[[1, 1, 0]], c=[[0, 1, 1]]))
    assert values(scores["nodule", "c", MAJORITY]) == pytest.approx({"iou": 1 / 3, "dice": 1 / 2})


def test_no_reader_is_part_of_what_he_is_held_against():
    """Whatever he marks, the others say the same; with him among them they would come nearer to him."""
    generator = np.random.default_rng(0)
    others = {reader: generator.random((9, 9)) < 0.4 for reader in "bcd"}
    for _ in range(5):
        own = generator.random((9, 9)) < 0.4
        scores = agreement(masks_of(a=own, **others))
        together = sum(others.values()) >= 2
        expected = (own & together).sum() / (own | together).sum()
        assert values(scores["nodule", "a", MAJORITY])["iou"] == pytest.approx(expected)


def test_a_consensus_among_the_masks_is_no_reader():
    made = masks_of(**{"a": [[1, 0]], "b": [[1, 1]], "consensus:staple": [[1, 1]]})
    assert list(agreement(made)) == [("nodule", "a", "b")]


def test_two_masks_of_one_reader_are_no_pair():
    grid = Geometry((1, 2), np.eye(4))
    masks = tuple(Mask(np.array([[1, place]], bool), grid, "nodule", "a") for place in (0, 1))
    assert agreement(masks) == {}


def test_two_readers_have_no_others():
    assert list(agreement(masks_of(a=[[1, 0]], b=[[1, 1]]))) == [("nodule", "a", "b")]


def slow_staple(readers):
    """Warfield et al. 2004, voxel by voxel in float64, without a shortcut for voxels that were voted on alike."""
    votes = np.stack([np.ravel(marked) for marked in readers]).astype(bool)
    prior, weights = votes.mean(), votes.mean(axis=0)
    for _ in range(300):
        sensitivity = [(weights * vote).sum() / weights.sum() for vote in votes]
        specificity = [((1 - weights) * ~vote).sum() / (1 - weights).sum() for vote in votes]
        for place in range(votes.shape[1]):
            inside, outside = prior, 1 - prior
            for reader, vote in enumerate(votes[:, place]):
                inside *= sensitivity[reader] if vote else 1 - sensitivity[reader]
                outside *= 1 - specificity[reader] if vote else specificity[reader]
            weights[place] = inside / (inside + outside) if inside + outside > 0 else 0.0
    return (weights >= 0.5).reshape(np.shape(readers[0]))


def test_staple_of_the_others_is_the_slow_one():
    generator = np.random.default_rng(5)
    truth = generator.random((6, 7)) < 0.4
    marked = {reader: truth ^ (generator.random((6, 7)) < 0.15) for reader in "abcd"}
    scores = agreement(masks_of(**marked))
    for reader, own in marked.items():
        together = slow_staple([mask for other, mask in marked.items() if other != reader])
        expected = (own & together).sum() / (own | together).sum()
        assert values(scores["nodule", reader, STAPLE])["iou"] == pytest.approx(expected)


def test_others_without_a_consensus_leave_the_agreement_undefined(monkeypatch):
    from pipeline.errors import Reason
    from pipeline.studies.study import MaskFault

    def none_made(masks, faults, method):
        return list(masks), [MaskFault(f"consensus:{method}", "nodule", Reason.NO_CONSENSUS, "not settled")]

    monkeypatch.setattr(experts, "with_consensus", none_made)
    scores = agreement(masks_of(a=[[1, 0]], b=[[1, 1]], c=[[1, 0]]))
    assert {score.reason for score in scores["nodule", "a", STAPLE]} == {str(Reason.NO_CONSENSUS)}
