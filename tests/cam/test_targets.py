"""Which scalar of the output is explained, and what is refused."""

import numpy as np
import pytest
import torch

from cam import Target, explain
from tests.cam.networks import images, small

LOGITS = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (0, [1, 4]),
        (2, [3, 6]),
        ([2, 0], [3, 4]),
        ((1, 1), [2, 5]),
        (np.array([0, 2]), [1, 6]),
        (np.int64(1), [2, 5]),
    ],
)
def test_the_score_is_the_logit_of_the_label(label, expected):
    assert Target(label).scores(LOGITS).tolist() == expected


def test_the_negative_class_of_a_single_logit_is_its_negation():
    assert Target([0, 1]).scores(torch.tensor([[2.0], [3.0]])).tolist() == [-2, 3]


REFUSED = [
    (3, LOGITS, r"target.label must lie in 0..2 for a model of 3 logit\(s\), not 3"),
    (-1, LOGITS, r"target.label must lie in 0..2 for a model of 3 logit\(s\), not -1"),
    ([0, 3], LOGITS, r"target.label must lie in 0..2 .* not \[0, 3\]"),
    (2, LOGITS[:, :1], r"target.label must lie in 0..1 for a model of 1 logit\(s\), not 2"),
    ([0], LOGITS, r"must be one index, or one for each of 2 samples, not \[0\]"),
    ([0, 1, 2], LOGITS, r"must be one index, or one for each of 2 samples, not \[0, 1, 2\]"),
    ([[0], [1]], LOGITS, "must be one index, or one for each of 2 samples"),
    (0.7, LOGITS, "target.label must be an index or indices, not 0.7"),
    ([True, False], LOGITS, "target.label must be an index or indices"),
    (0, LOGITS[0], r"logits must have shape \(batch, labels\), not \(3,\)"),
]


@pytest.mark.parametrize(("label", "logits", "message"), REFUSED)
def test_a_target_that_does_not_fit_is_refused(label, logits, message):
    with pytest.raises(ValueError, match=message):
        Target(label).scores(logits)


def test_explain_refuses_a_target_of_another_batch_size():
    with pytest.raises(ValueError, match="one for each of 3 samples"):
        explain(small(2, rectified=True, affine=True), images(2), [Target([0, 1])], layers=["layer"])


def test_explain_refuses_an_unknown_method():
    with pytest.raises(ValueError, match=r"methods must be among \['gradcam', .*\], not \['gradcamm'\]"):
        explain(small(2, rectified=True, affine=True), images(2), [0], methods=["gradcam", "gradcamm"])


def test_without_targets_there_are_logits_and_no_maps():
    model, x = small(2, rectified=True, affine=True), images(2)
    found = explain(model, x, [], layers=["layer"])
    assert torch.equal(found.logits, model(x))
    assert not found.maps


def test_what_explain_returns_holds_no_graph():
    found = explain(small(2, rectified=True, affine=False), images(2), [0], methods=["gradcam"], layers=["layer"])
    assert not found.logits.requires_grad
    assert not any(maps.requires_grad for _, maps in found)
