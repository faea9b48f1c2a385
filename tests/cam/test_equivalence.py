"""Maps that are one piece of evidence are told as one, and no others."""

import pytest
import torch

from cam import explain
from cam.equivalence import equivalent, same_evidence
from tests.cam.networks import images, small

METHODS = ["gradcam", "hirescam", "layercam"]


@pytest.mark.parametrize("axes", [2, 3])
def test_with_a_pooled_tail_gradcam_and_hirescam_are_one(axes):
    model, x = small(axes, rectified=False, affine=True), images(axes)
    assert explain(model, x, [0, 1], methods=METHODS, layers=["layer"]).equivalent == {
        "layer": (("gradcam", "hirescam"),)
    }


@pytest.mark.parametrize("axes", [2, 3])
def test_with_a_gradient_that_varies_in_space_they_are_two(axes):
    model, x = small(axes, rectified=False, affine=False), images(axes)
    assert explain(model, x, [0, 1], methods=METHODS, layers=["layer"]).equivalent == {}


ROW = torch.tensor([[[0.0, 1.0, -2.0, 3.0]]])
NOTHING = torch.zeros(1, 1, 4)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (ROW, 5 * ROW, True),
        (ROW, ROW.relu(), True),
        (ROW, -ROW, False),
        (ROW, ROW + 1, False),
        (ROW, ROW + torch.tensor([0, 0.01, 0, 0]), False),
        (ROW, NOTHING, False),
        (NOTHING, NOTHING, False),
        (ROW, ROW[..., :3], False),
        (torch.cat([ROW, NOTHING]), torch.cat([2 * ROW, NOTHING]), True),
        (torch.cat([ROW, NOTHING]), torch.cat([ROW, ROW]), False),
        (torch.cat([ROW, ROW]), torch.cat([ROW, ROW.flip(2)]), False),
    ],
)
def test_what_counts_as_the_same(one, other, same):
    found = equivalent({("a", "layer", 0): one, ("b", "layer", 0): other})
    assert found == ({"layer": (("a", "b"),)} if same else {})


NEARLY_AGAINST = torch.tensor([[[1e-3, 2e-3, -100.0, 0.0]]])


def test_where_little_is_left_of_large_terms_their_rounding_is_no_difference():
    other = NEARLY_AGAINST + torch.tensor([[[1e-6, 0, 5e-6, 0]]])
    assert same_evidence(NEARLY_AGAINST[0], other[0]) is True
    assert same_evidence(NEARLY_AGAINST[0], other[0].relu()) is True
    assert same_evidence(NEARLY_AGAINST[0].relu(), other[0].relu()) is False
    assert same_evidence(1e-6 * torch.tensor([[1.0, 2, -1e9]]), 1e-6 * torch.tensor([[2.0, 1, -1e9]])) is False


def test_what_one_map_says_and_another_does_not_is_a_difference_at_any_scale():
    assert same_evidence(1e9 * ROW[0], -1e9 * ROW[0].abs()) is False
    assert same_evidence(-1e9 * ROW[0].abs(), NOTHING[0]) is None


def test_every_target_and_only_one_layer_counts():
    maps = {("a", "x", 0): ROW, ("b", "x", 0): ROW, ("a", "x", 1): ROW, ("b", "x", 1): ROW + 1}
    assert equivalent(maps) == {}
    assert equivalent({("a", "x", 0): ROW, ("b", "y", 0): ROW}) == {}


def test_a_dead_layer_gives_empty_maps_that_are_named():
    model, x = small(2, rectified=True, affine=True), images(2, batch=2)
    torch.nn.init.constant_(model.layer[0].bias, -100.0)
    found = explain(model, x, [1], methods=["gradcam", "hirescam"], layers=["layer"])
    places = {(name, "layer", 1, sample) for name in ("gradcam", "hirescam") for sample in (0, 1)}
    assert {entry[:4] for entry in found.empty} == places
    assert {entry.reason for entry in found.empty} == {"the layer is 0 at every cell for this sample"}
    assert found.equivalent == {}
    alive = explain(small(2, rectified=False, affine=True), x, [1], methods=["hirescam"], layers=["layer"])
    assert alive.empty == ()
