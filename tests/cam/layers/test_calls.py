"""Layers that run several times in a forward: two views, slices one by one or in a row, instances of a bag."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from cam import Memory, Slices, Target, capture, cell_shift, explain, find_layer
from tests.cam.networks import conv, images, pool

FORMULAS = ["gradcam", "hirescam", "layercam", "xgradcam", "gradcam_elementwise"]


class TwoViews(nn.Module):
    """One backbone for both channels of the image; the head sees the features of both and their difference."""

    def __init__(self, axes):
        super().__init__()
        self.features = nn.Sequential(conv(axes, 1, 4, 3, padding=1), nn.Tanh())
        self.pool, self.head = nn.Sequential(pool(axes), nn.Flatten()), nn.Linear(12, 3)

    def forward(self, x):
        first, second = self.features(x[:, :1]), self.features(x[:, 1:])
        apart = (first - second).abs()
        return self.head(torch.cat([self.pool(each) for each in (first, second, apart)], dim=1))


def views(axes, batch=2):
    torch.manual_seed(0)
    x = torch.cat([images(axes, batch=batch), images(axes, batch=batch, seed=5)], dim=1)
    return TwoViews(axes).double().eval(), x


def by_hand(model, x, label):
    """Return the activations and gradients of both calls, from the formula of the network."""
    first, second = (model.features(x[:, [view]]).detach().requires_grad_() for view in (0, 1))
    apart = (first - second).abs()
    logits = model.head(torch.cat([model.pool(each) for each in (first, second, apart)], dim=1))
    return (first, second), torch.autograd.grad(logits[:, label].sum(), (first, second))


@pytest.mark.parametrize("axes", [2, 3])
def test_each_call_has_its_map_and_their_sum_is_that_of_the_maps(axes):
    model, x = views(axes)
    layers = ["features#0", "features#1", "features#sum"]
    found = explain(model, x, target=1, methods=["hirescam", "gradcam"], layers=layers, rectify=False)
    activations, gradients = by_hand(model, x, 1)
    space = tuple(range(2, 2 + axes))
    for number, (A, G) in enumerate(zip(activations, gradients, strict=True)):
        name = f"features#{number}"
        torch.testing.assert_close(found.maps["hirescam", name, 1], (A * G).sum(1).detach())
        weights = G.mean(space, keepdim=True)
        torch.testing.assert_close(found.maps["gradcam", name, 1], (A * weights).sum(1).detach())
    for method in ("hirescam", "gradcam"):
        both = found.maps[method, "features#0", 1] + found.maps[method, "features#1", 1]
        torch.testing.assert_close(found.maps[method, "features#sum", 1], both)
        assert not torch.allclose(found.maps[method, "features#0", 1], found.maps[method, "features#1", 1])


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("number", [0, 1])
def test_ablation_and_single_positions_change_one_call_alone(axes, number):
    model, x = views(axes)
    name = f"features#{number}"
    found = explain(model, x, target=2, methods=["ablationcam", "reciprocam"], layers=name, rectify=False)
    activations = [activation.detach() for activation in by_hand(model, x, 2)[0]]

    def logit(changed):
        given = [changed if place == number else other for place, other in enumerate(activations)]
        apart = (given[0] - given[1]).abs()
        return model.head(torch.cat([model.pool(each) for each in (*given, apart)], dim=1))[:, 2].detach()

    A = activations[number]
    y, expected = logit(A), 0
    for channel in range(4):
        without = A.clone()
        without[:, channel] = 0
        weight = (y - logit(without)) / y
        expected = expected + weight.view(-1, *[1] * axes) * A[:, channel]
    torch.testing.assert_close(found["ablationcam"].clone(), expected)
    alone = torch.zeros_like(A)
    alone[(slice(None), slice(None), *[1] * axes)] = A[(slice(None), slice(None), *[1] * axes)]
    torch.testing.assert_close(found["reciprocam"][(slice(None), *[1] * axes)], logit(alone))


@pytest.mark.parametrize("method", ["scorecam", "smoothgradcampp", "eigencam", "faster_scorecam", "randomcam"])
@pytest.mark.parametrize("layer", ["features#0", "features#1", "features#sum"])
def test_other_methods_take_a_call_or_the_sum(method, layer):
    model, x = views(2)
    assert bool(explain(model, x, target=1, methods=method, layers=layer)[method].any())


def test_a_batch_of_calls_is_its_samples_one_by_one():
    model, x = views(2, batch=3)
    methods = [*FORMULAS, "ablationcam", "scorecam"]
    whole = explain(model, x, target=Target([2, 0, 1]), methods=methods, layers=["features#1"])
    for sample, label in enumerate([2, 0, 1]):
        alone = explain(model, x[[sample]], target=label, methods=methods, layers=["features#1"])
        for method in methods:
            torch.testing.assert_close(whole[method][[sample]].clone(), alone[method].clone())


REFUSED = [
    ("features", r"'features' is called 2 times .*: take a map of each, layers=\['features#0', 'features#1'\]"),
    ("features#2", "layer 'features#2': 'features' is called 2 times, numbered from 0"),
    ("features#x", "layer 'features#x' does not exist"),
    ("head#1", "'head' is called 1 times"),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "message"), REFUSED)
def test_what_call_is_meant_has_to_be_said(layer, message):
    model, x = views(2)
    with pytest.raises(ValueError, match=message):
        explain(model, x, target=1, layers=layer)


def test_a_module_that_is_called_so_comes_first():
    model, x = views(2)
    model.add_module("features#0", nn.Identity().eval())
    found = capture(model, x, ["features.1#0"])
    assert found.activations["features.1#0"].shape == (2, 4, 6, 6)
    with pytest.raises(ValueError, match=r"'features#0' is never reached"):
        capture(model, x, ["features#0"])


class SliceBySlice(nn.Module):
    """A 2D backbone over the slices of a volume, in a loop or in a row, and attention over them."""

    def __init__(self, axis, way):
        super().__init__()
        self.axis, self.way = axis, way
        self.features = nn.Sequential(conv(2, 1, 4, 3, padding=1), nn.ReLU())
        self.gate, self.head = nn.Linear(4, 1), nn.Linear(4, 3)

    def forward(self, x):
        slices = x.movedim(2 + self.axis, 1)
        number = slices.shape[1]
        if self.way == "a loop":
            seen = torch.stack([self.features(slices[:, place]) for place in range(number)], dim=1)
        elif self.way == "rows by sample":
            seen = self.features(slices.flatten(0, 1)).unflatten(0, (-1, number))
        else:
            seen = self.features(slices.transpose(0, 1).flatten(0, 1)).unflatten(0, (number, -1)).transpose(0, 1)
        pooled = seen.flatten(3).mean(3)
        return self.head((self.gate(pooled).softmax(1) * pooled).sum(1))


class Shuffled(SliceBySlice):
    def forward(self, x):
        return super().forward(x[:, :, [2, 0, 1]])


WAYS = {"a loop": True, "rows by sample": True, "rows by slice": False}


def sliced(axis, way, batch=2):
    torch.manual_seed(1)
    model = SliceBySlice(axis, way).double().eval()
    x = torch.randn(batch, 1, 3, 5, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return model, x, {"features": Slices(axis, samples_first=WAYS[way])}


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_a_network_over_slices_has_maps_of_the_whole_volume(axis, way):
    """A 3D network of the same weights: its kernel is one voxel thick along the slices."""
    model, x, grids = sliced(axis, way)
    found = explain(model, x, target=1, methods=FORMULAS[:3], layers="features", grids=grids, rectify=False)
    weight = model.features[0].weight.unsqueeze(2 + axis)
    padding = [int(other != axis) for other in range(3)]
    A = nn.functional.conv3d(x, weight, model.features[0].bias, padding=padding).relu().detach().requires_grad_()
    pooled = A.movedim(2 + axis, 1).flatten(3).mean(3)
    logits = model.head((model.gate(pooled).softmax(1) * pooled).sum(1))
    torch.testing.assert_close(found.logits, logits.detach())
    (G,) = torch.autograd.grad(logits[:, 1].sum(), A)
    torch.testing.assert_close(found.maps["hirescam", "features", 1], (A * G).sum(1).detach())
    torch.testing.assert_close(found.maps["layercam", "features", 1], (A * G.relu()).sum(1).detach())
    mean = G.mean((2, 3, 4), keepdim=True)
    torch.testing.assert_close(found.maps["gradcam", "features", 1], (A * mean).sum(1).detach())


@pytest.mark.parametrize("method", ["scorecam", "ablationcam", "reciprocam", "smoothgradcampp", "guided_gradcam"])
@pytest.mark.parametrize("axis", [0, 2])
def test_every_way_over_the_slices_gives_the_same_maps(method, axis):
    maps = []
    for way in ("rows by sample", "rows by slice", "a loop"):
        model, x, grids = sliced(axis, way)
        maps.append(explain(model, x, target=1, methods=method, layers="features", grids=grids)[method].clone())
    for other in maps[1:]:
        torch.testing.assert_close(other, maps[0])
    assert bool(maps[0].any())


def test_auto_takes_the_slices_that_are_stated():
    model, x, grids = sliced(0, "rows by sample")
    memory = Memory()
    choice = find_layer(model, x, {**grids, "features.1": grids["features"]}, memory=memory)
    assert (choice.name, choice.past) == ("features", 0.0)


def test_rows_that_are_not_one_a_sample_name_the_remedy():
    model, x, _ = sliced(0, "rows by sample")
    shuffled = Shuffled(0, "rows by sample").double().eval()
    with pytest.raises(
        ValueError, match=r"its output has shape \(6, 4, 5, 6\); of slices .*grids=\{'features': Slices"
    ):
        explain(shuffled, x, target=1, layers="features")
    with pytest.raises(ValueError, match=r"grids\['features'\] is Slices.*, which does not fit"):
        explain(model, x, target=1, layers="features", grids={"features": Slices(4)})
    for axis in (-1, 0.5, True, "depth"):
        with pytest.raises(ValueError, match=r"slices.axis must be the number of a spatial axis, from 0, or None"):
            Slices(axis)


class Bag(nn.Module):
    """Multiple-instance learning: (B, N, C, H, W), attention over the instances, as MONAI's MILModel."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(conv(2, 3, 4, 3, padding=1), nn.Tanh())
        self.attention, self.head = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)), nn.Linear(4, 3)

    def forward(self, x):
        pooled = self.features(x.flatten(0, 1)).flatten(2).mean(2).unflatten(0, x.shape[:2])
        return self.head((self.attention(pooled).softmax(1) * pooled).sum(1))


def test_a_bag_of_instances_has_a_map_of_each():
    torch.manual_seed(0)
    model, x = Bag().double().eval(), torch.randn(2, 5, 3, 6, 7, dtype=torch.float64)
    grids = {"features": Slices(None)}
    found = explain(model, x, target=1, methods=["hirescam", "ablationcam"], layers="features", grids=grids)
    A = model.features(x.flatten(0, 1)).detach().requires_grad_()
    pooled = A.flatten(2).mean(2).unflatten(0, (2, 5))
    (G,) = torch.autograd.grad(model.head((model.attention(pooled).softmax(1) * pooled).sum(1))[:, 1].sum(), A)
    torch.testing.assert_close(found["hirescam"].clone(), (A * G).sum(1).unflatten(0, (2, 5)).detach())
    assert found["ablationcam"].shape == (2, 5, 6, 7)
    for method in ("scorecam", "guided_gradcam", "sscam"):
        with pytest.raises(ValueError, match="sees instances that are no axis of the image"):
            explain(model, x, target=1, methods=method, layers="features", grids=grids)
    auto = explain(model, x, target=1, methods="hirescam", grids=grids)
    np.testing.assert_allclose(auto["hirescam"], found["hirescam"])


@pytest.mark.parametrize("number", [0, 1])
def test_where_the_cells_of_a_call_look_is_measured_at_that_call(number):
    model, x = views(2, batch=1)
    blind = x.clone()
    blind[:, 1 - number] = 0
    model.features[0].bias.data.zero_()
    shifts = [cell_shift(model, f"features#{call}", blind) for call in (0, 1)]
    assert shifts[number] == pytest.approx((0, 0), abs=0.5)


def test_threads_that_share_a_memory_explain_one_model_side_by_side():
    model, x = views(2)
    memory, expected = Memory(), explain(*views(2), target=1, methods=FORMULAS, layers="features#1")

    def maps(_):
        return explain(model, x, target=1, methods=FORMULAS, layers="features#1", memory=memory).maps

    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(maps, range(16)):
            torch.testing.assert_close(dict(found), dict(expected.maps))
