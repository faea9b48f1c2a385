"""What the newer methods keep beside their oracles: identities, and targets and layers that they refuse."""

import pytest
import torch

from cam import Difference, explain
from tests.cam.networks import KINDS, images, small


def mapped(method, model, x, target=1, layers=("layer",), **options):
    found = explain(model, x, target=target, methods=method, layers=layers, options={method: options})
    return next(iter(found.maps.values()))


def test_shapleycam_is_gradcam_where_the_softmax_has_saturated():
    model, x = small(2, rectified=True, affine=True), images(2)
    with torch.no_grad():
        model.tail[2].bias[1] = 60.0  # the label is certain: its log-probability is flat
    torch.testing.assert_close(mapped("shapleycam", model, x), mapped("gradcam", model, x))


def test_shapleycam_refuses_what_is_no_label():
    with pytest.raises(ValueError, match="method 'shapleycam' explains a label of one row of logits, not Difference"):
        mapped("shapleycam", KINDS["affine-signed"](2), images(2), Difference(0, 1))


def test_refinecam_needs_two_layers():
    with pytest.raises(ValueError, match=r"method 'refinecam' needs at least two layers, not \['layer'\]"):
        mapped("refinecam", KINDS["affine-signed"](2), images(2))


def test_refinecam_leaves_only_what_every_layer_marks():
    model, x = small(2, rectified=True, affine=False), images(2)
    found = explain(model, x, target=1, methods=["refinecam", "gradcampp"], layers=["trunk", "layer"])
    joint, coarse = found["refinecam", "trunk+layer"], found["gradcampp", "layer"]
    assert float(joint.min()) >= 0
    assert float(joint.max()) <= 1
    assert joint.shape == found["gradcampp", "trunk"].shape
    assert not joint[~coarse.flatten(1).any(dim=1)].any()
