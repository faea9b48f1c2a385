"""Which scalar of the output is explained, and what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from cam import Difference, PerSample, Positive, Predicted, Region, Target, explain
from cam.target_keys import requested, resolve_targets
from tests.cam.networks import conv, images, small

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
    ([0, 3], LOGITS, r"target.label must lie in 0..2 .* not \(0, 3\)"),
    (2, LOGITS[:, :1], r"target.label must lie in 0..1 for a model of 1 logit\(s\), not 2"),
    ([0], LOGITS, r"must be one index, or one for each of 2 samples, not \(0,\)"),
    ([0, 1, 2], LOGITS, r"must be one index, or one for each of 2 samples, not \(0, 1, 2\)"),
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
    with pytest.raises(
        ValueError, match=r"method 'gradcamm' is not known; did you mean 'gradcam'\? They are .*hirescam"
    ):
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


def test_a_difference_is_one_logit_minus_another_sample_by_sample():
    assert Difference([0, 2], 1).scores(LOGITS).tolist() == [1 - 2, 6 - 5]
    with pytest.raises(ValueError, match=r"must lie in 0..2"):
        Difference(0, 3).scores(LOGITS)


def test_a_region_sums_a_labels_logits_over_the_mask():
    logits = torch.arange(16.0).reshape(2, 2, 2, 2)
    mask = torch.tensor([[[1, 0], [0, 1]], [[0, 1], [0, 0]]])
    assert Region([0, 1], mask).scores(logits).tolist() == [0 + 3, 13]
    for wrong in (mask[:, :1], mask[:1]):
        with pytest.raises(ValueError, match=r"region.mask must have the output's shape without its labels"):
            Region(0, wrong).scores(logits)
    with pytest.raises(ValueError, match=r"region.mask must have"):
        Region(0, mask).scores(LOGITS)


@pytest.mark.parametrize("axes", [2, 3])
def test_a_segmentation_network_is_explained_over_a_mask(axes):
    """Seg-Grad-CAM: the map of the mask's logits is the sum of the maps of its voxels, before the ReLU."""
    torch.manual_seed(0)
    model = nn.Sequential(conv(axes, 1, 3, 3, padding=1), nn.Tanh(), conv(axes, 3, 2, 3, padding=1)).double().eval()
    x = images(axes, batch=2)
    mask = torch.rand(2, *x.shape[2:], generator=torch.Generator().manual_seed(2)) > 0.7
    found = explain(model, x, [Region(1, mask)], methods=["hirescam"], layers=["1"])["hirescam", "1"]
    activation = model[1](model[0](x)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad((model[2](activation)[:, 1] * mask).sum(), activation)
    torch.testing.assert_close(found, (activation * gradient).sum(1).detach())


def test_what_is_asked_is_answered_by_the_logits():
    logits = torch.tensor([[1.0, -2.0, 3.0], [4.0, -5.0, -6.0]])
    assert resolve_targets([1, Predicted(), Positive(), Difference(0, 1)], logits) == {
        1: Target(1), Predicted(): Target([2, 0]), 0: Target(0), 2: Target(2), Difference(0, 1): Difference(0, 1),
    }  # fmt: skip
    assert resolve_targets([Positive(3.5)], logits) == {0: Target(0)}
    assert resolve_targets([Positive(9)], logits) == {}
    single = torch.tensor([[2.0], [-3.0]])
    assert resolve_targets([Predicted(), Positive()], single) == {Predicted(): Target([1, 0]), 1: Target(1)}
    assert resolve_targets([Positive()], -single.abs()) == {}
    with pytest.raises(ValueError, match=r"Predicted\(\) needs logits of shape \(batch, labels\)"):
        resolve_targets([Predicted()], logits[..., None])


@pytest.mark.parametrize("target", [Target([2, 0]), Target(1), Difference([0, 2], 1), Difference(0, [1, 2])])
def test_rows_that_show_samples_keep_each_samples_target(target):
    rows = torch.tensor([1, 1, 0, 1])
    assert target.select(rows).scores(LOGITS[rows]).tolist() == target.scores(LOGITS)[rows].tolist()


def test_rows_keep_each_samples_region():
    logits = torch.arange(24.0).reshape(2, 3, 4)
    region = Region([2, 0], torch.tensor([[1, 0, 0, 1], [0, 1, 1, 0]]))
    rows = torch.tensor([1, 0, 1])
    assert region.select(rows).scores(logits[rows]).tolist() == region.scores(logits)[rows].tolist()


def test_the_predicted_labels_maps_are_those_of_the_labels():
    model, x = small(2, rectified=False, affine=False), images(2, batch=4)
    found = explain(model, x, [Predicted()], methods=["hirescam"], layers=["layer"])
    best = model(x).argmax(1).tolist()
    assert found.targets == (Target(best),)
    assert len(set(best)) > 1, "one label for all would prove little"
    named = explain(model, x, [Target(best)], methods=["hirescam"], layers=["layer"])
    torch.testing.assert_close(found["hirescam"], named["hirescam"])


def test_as_many_bare_indices_as_samples_are_refused_and_both_readings_named():
    model, x = small(2, rectified=True, affine=True), images(2, batch=2)
    with pytest.raises(ValueError, match=r"PerSample\(\[2, 0\]\), or that many for all of them, \[Target\(2\), Target"):
        explain(model, x, [2, 0], layers=["layer"])
    for targets in ([2, 0, 1], [2], [Target(2), 0]):
        assert len(explain(model, x, targets, layers=["layer"]).targets) == len(targets)
    assert len(explain(model, x[:1], [2], layers=["layer"]).targets) == 1


@pytest.mark.parametrize("targets", [PerSample([2, 0]), [PerSample((2, 0))], [PerSample(np.array([2, 0]))]])
def test_one_target_for_each_sample_is_one_map_for_each(targets):
    model, x = small(2, rectified=False, affine=False), images(2, batch=2)
    found = explain(model, x, targets, methods=["hirescam"], layers=["layer"])
    assert found.targets == (Target([2, 0]),)
    for sample, label in enumerate([2, 0]):
        alone = explain(model, x[sample : sample + 1], [label], methods=["hirescam"], layers=["layer"])
        torch.testing.assert_close(found["hirescam", "layer"][[sample]], alone["hirescam", "layer"])


@pytest.mark.parametrize("labels", [[2], [2, 0, 1], 2])
def test_labels_that_are_not_one_for_each_sample_are_refused(labels):
    with pytest.raises(ValueError, match="PerSample needs one index for each of 2 samples"):
        explain(small(2, rectified=True, affine=True), images(2, batch=2), [PerSample(labels)], layers=["layer"])


def test_an_index_of_numpy_is_an_index():
    for index in (np.int64(2), torch.tensor(2), np.array(2)):
        assert resolve_targets(requested([index], None), LOGITS) == {2: Target(2)}
