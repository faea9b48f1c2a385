"""Each registered method against its oracle, and the identities that hold for any right implementation."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from cam import METHODS, Target, explain
from cam.registry import method
from tests.cam.networks import KINDS, conv, images, pool, small
from tests.oracles import ORACLES, by_oracle

FORMULAS = [name for name, one in METHODS.items() if one.is_formula]


def test_every_method_has_an_oracle_and_every_oracle_a_method():
    assert set(ORACLES) == set(METHODS)


TRIALS = [
    pytest.param(name, kind, axes, id=f"{name}-{kind}-{axes}d")
    for name, one in ORACLES.items()
    for kind in one.kinds
    for axes in (2, 3)
]


@pytest.mark.parametrize(("name", "kind", "axes"), TRIALS)
def test_method_equals_oracle(name, kind, axes):
    """Every method on every network it is for, each sample of the batch with a target of its own."""
    oracle, model, x = ORACLES[name], KINDS[kind](axes), images(axes)
    labels = [1, 0, 1] if kind == "single-logit" else [2, 0, 1]
    found = explain(model, x, [Target(labels)], methods=[name], layers=oracle.layers, options={name: oracle.options})
    ((_, maps),) = found
    expected = by_oracle(name, model, x, labels)
    np.testing.assert_allclose(maps, expected, rtol=oracle.tolerance, atol=oracle.tolerance * np.abs(expected).max())
    assert np.abs(expected).max() > 1e-6, "an empty map proves nothing"


@pytest.mark.parametrize("axes", [2, 3])
def test_several_layers_targets_and_methods_at_once_equal_the_oracle(axes):
    model, x = small(axes, rectified=True, affine=False).requires_grad_(False), images(axes, batch=2)
    targets, layers, methods = [[0, 2], [1, 1]], ["layer", "tail.0"], ["gradcam", "hirescam", "layercam"]
    found = explain(model, x, [Target(one) for one in targets], methods=methods, layers=layers).maps
    assert len(found) == len(methods) * 2 * 2
    for name, layer, labels in itertools.product(methods, layers, targets):
        expected = by_oracle(name, model, x, labels, layers=[layer])
        np.testing.assert_allclose(found[name, layer, Target(labels)], expected, rtol=1e-6, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("name", FORMULAS)
def test_the_sign_is_the_declared_one(name):
    model, x = small(2, rectified=False, affine=False), images(2, batch=16)
    lowest = min(float(maps.min()) for _, maps in explain(model, x, [0, 1, 2], methods=[name], layers=["layer"]))
    assert (lowest < 0) == METHODS[name].signed


@pytest.mark.parametrize("axes", [2, 3])
def test_with_a_pooled_linear_tail_hirescam_sums_to_the_logit_without_its_bias(axes):
    model, x = small(axes, rectified=False, affine=True), images(axes)
    found = explain(model, x, [Target(0), Target(1), Target(2)], methods=["hirescam"], layers=["layer"])
    for label in range(3):
        total = found.maps["hirescam", "layer", label].flatten(1).sum(1)
        torch.testing.assert_close(total, found.logits[:, label] - model.tail[2].bias[label])


@pytest.mark.parametrize("axes", [2, 3])
def test_with_a_pooled_linear_tail_gradcam_is_the_rectified_hirescam(axes):
    model, x = small(axes, rectified=False, affine=True), images(axes)
    maps = explain(model, x, [1], methods=["gradcam", "hirescam"], layers=["layer"]).maps
    torch.testing.assert_close(maps["gradcam", "layer", 1], maps["hirescam", "layer", 1].relu())


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", FORMULAS)
def test_a_batch_is_its_samples_one_by_one(axes, name):
    model, x = small(axes, rectified=False, affine=False), images(axes, batch=2)
    whole = explain(model, x, [Target([2, 0])], methods=[name], layers=["layer"])[name, "layer"]
    for number, label in enumerate([2, 0]):
        alone = explain(model, x[[number]], [label], methods=[name], layers=["layer"])[name, "layer"]
        torch.testing.assert_close(whole[[number]], alone)


def pointwise(axes):
    torch.manual_seed(3)
    layers = [conv(axes, 1, 4, 1), nn.ReLU(), conv(axes, 4, 3, 1), pool(axes), nn.Flatten(), nn.Linear(3, 2)]
    return nn.Sequential(*layers).double().eval()


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", FORMULAS)
def test_flipping_and_permuting_the_image_flips_and_permutes_the_map(axes, name):
    model = pointwise(axes)
    x = torch.randn(2, 1, *range(4, 4 + axes), generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def maps(image):
        return explain(model, image, [1], methods=[name], layers=["2"])[name, "2"]

    upright = maps(x)
    for axis in range(axes):
        torch.testing.assert_close(maps(x.flip(2 + axis)), upright.flip(1 + axis))
    for order in itertools.permutations(range(axes)):
        moved = maps(x.permute(0, 1, *(2 + axis for axis in order)))
        torch.testing.assert_close(moved, upright.permute(0, *(1 + axis for axis in order)))


def detector(axes, weight):
    """Logit 1 reads brightness, logit 0 a constant."""
    model = nn.Sequential(conv(axes, 1, 1, 1), nn.ReLU(), pool(axes), nn.Flatten(), nn.Linear(1, 2)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model[0].weight.fill_(1)
        model[4].weight[1] = weight
    return model


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", FORMULAS)
def test_the_map_of_a_blob_detector_peaks_in_the_blob(axes, name):
    blob = (1, 4, 2)[:axes]
    x = torch.zeros(1, 1, *(6, 7, 5)[:axes], dtype=torch.float64)
    x[(0, 0, *blob)] = 1
    (found,) = explain(detector(axes, 1.0), x, [1], methods=[name], layers=["1"]).maps.values()
    assert np.unravel_index(int(found[0].argmax()), found[0].shape) == blob
    assert float(found[0][blob]) > 0
    assert int((found != 0).sum()) == 1

    (against,) = explain(detector(axes, -1.0), x, [1], methods=[name], layers=["1"]).maps.values()
    if METHODS[name].signed:
        torch.testing.assert_close(against, -found)
    else:
        assert not against.any()


@pytest.mark.parametrize("axes", [2, 3])
def test_the_negative_class_of_a_single_logit_is_the_negation(axes):
    model, x = small(axes, rectified=False, affine=False, labels=1), images(axes)
    maps = explain(model, x, [1, 0], methods=["hirescam"], layers=["layer"]).maps
    torch.testing.assert_close(maps["hirescam", "layer", 1], -maps["hirescam", "layer", 0])


def test_each_sample_is_explained_for_its_own_target():
    model, x = small(2, rectified=False, affine=False), images(2, batch=3)
    maps = explain(model, x, [Target([2, 0, 1]), 0, 1, 2], methods=["hirescam"], layers=["layer"]).maps
    mixed = maps["hirescam", "layer", Target([2, 0, 1])]
    for number, label in enumerate([2, 0, 1]):
        torch.testing.assert_close(mixed[number], maps["hirescam", "layer", label][number])
        assert not torch.allclose(mixed[number], maps["hirescam", "layer", (label + 1) % 3][number])


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="method 'gradcam' is registered twice"):
        method("gradcam", title="", paper="", formula="", limits="", signed=False)(lambda A, _G: A)


def test_no_method_is_both_signed_and_rectified():
    with pytest.raises(ValueError, match="method 'both' cannot be signed and rectified"):
        method("both", title="", paper="", formula="", limits="", signed=True, rectified=True)(lambda A, _G: A)
    assert "both" not in METHODS


RECTIFIED = [name for name, one in METHODS.items() if one.rectified]


def test_the_methods_that_end_in_a_relu_are_those_whose_formula_does():
    said = {name for name, one in METHODS.items() if one.formula.startswith("ReLU of")}
    relatives = {"finercam", "smoothgradcampp", "faster_scorecam", "iscam", "sscam"}  # told as another's formula
    assert set(RECTIFIED) == said | relatives


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", sorted(METHODS))
def test_without_the_last_relu_a_map_is_the_same_but_for_its_negative_part(axes, name):
    oracle = ORACLES[name]
    model, x = KINDS[oracle.kinds[0]](axes), images(axes)
    asked = {"methods": [name], "layers": oracle.layers, "options": {name: oracle.options}}
    (whole,) = explain(model, x, [Target([2, 0, 1])], **asked).maps.values()
    (left,) = explain(model, x, [Target([2, 0, 1])], rectify=False, **asked).maps.values()
    if METHODS[name].rectified:
        assert torch.equal(left.relu(), whole)
        assert not bool((whole < 0).any())
    else:
        assert torch.equal(left, whole)


@pytest.mark.parametrize("name", [name for name in RECTIFIED if METHODS[name].is_formula])
def test_without_the_last_relu_evidence_against_is_there(name):
    model, x = small(2, rectified=False, affine=False), images(2, batch=16)
    found = explain(model, x, [0, 1, 2], methods=[name], layers=["layer"], rectify=False)
    assert min(float(maps.min()) for _, maps in found) < 0


def test_a_rectified_map_of_evidence_against_alone_is_empty_with_and_without_its_relu():
    x = torch.ones(1, 1, 4, 4, dtype=torch.float64)
    for rectify in (True, False):
        found = explain(detector(2, -1.0), x, [1], methods=["gradcam", "hirescam"], layers=["1"], rectify=rectify)
        assert found.empty == (("gradcam", "1", 1, 0, "no evidence speaks for the target"),)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("side", [7, 9, 10])
def test_behind_pooling_gradcam_and_hirescam_are_the_same_bits_in_float32(axes, side):
    """7 x 7 equal gradients sum to something else than 49 of them in float32, and their mean to another number."""
    torch.manual_seed(side)
    layers = [conv(axes, 1, 64, 3, padding=1), nn.Tanh(), pool(axes), nn.Flatten(), nn.Linear(64, 3)]
    layout = {2: torch.channels_last, 3: torch.channels_last_3d}[axes] if side == 9 else torch.contiguous_format
    x = torch.randn(2, 1, *[side] * axes).to(memory_format=layout)
    model = nn.Sequential(*layers).eval().to(memory_format=layout)
    maps = explain(model, x, [0, 1, 2], methods=["gradcam", "hirescam"], layers=["1"], rectify=False).maps
    for target in range(3):
        assert torch.equal(maps["gradcam", "1", target], maps["hirescam", "1", target])
