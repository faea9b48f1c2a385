"""What is special about each method that runs the model again."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from cam import Target, explain
from tests.cam.networks import conv, images, pool, small
from tests.cam.procedures.test_perturb import FEW, CountingRows
from tests.oracles import by_oracle

MASKED = ("scorecam", "faster_scorecam", "sscam", "iscam")


class Chosen(nn.Module):
    """The layer's channels are what a test wants of the image; the model counts its rows."""

    def __init__(self, axes, channels, linear=False):
        super().__init__()
        self.layer, self.channels, self.rows = Pick(channels), channels, 0
        after = [] if linear else [conv(axes, len(channels), 2, 1), nn.ReLU()]
        self.tail = nn.Sequential(*after, pool(axes), nn.Flatten(), nn.Linear(len(channels) if linear else 2, 3))

    def forward(self, x):
        self.rows += len(x)
        return self.tail(self.layer(x))


class Pick(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def forward(self, x):
        return torch.cat([channel(x) for channel in self.channels], dim=1)


def chosen(axes, *channels, **options):
    torch.manual_seed(2)
    return Chosen(axes, channels, **options).double().eval()


SIGNED, SAME, DOUBLE, DEAD, EVEN, SQUARE = (
    lambda x: x,
    lambda x: x.clone(),
    lambda x: 2 * x,
    torch.zeros_like,
    lambda x: torch.full_like(x, 0.7),
    lambda x: x**2,
)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize(("name", "each"), [("scorecam", 1), ("sscam", 3), ("iscam", 3), ("faster_scorecam", 1)])
def test_constant_and_repeated_masks_are_scored_once_and_count_all_the_same(axes, name, each):
    model, x = chosen(axes, SIGNED, SAME, DEAD, DOUBLE, EVEN, SQUARE), images(axes, batch=2)
    found = explain(model, x, [Target([2, 0]), 1], methods=[name], layers=["layer"], options={name: FEW.get(name, {})})
    assert model.rows == 2 + 2 * 3 * each  # the image; then its own mask, the square's, and the constant one
    if name == "scorecam":
        for target, labels in ((Target([2, 0]), [2, 0]), (1, [1, 1])):
            expected = by_oracle(name, model, x, labels)
            np.testing.assert_allclose(found.maps[name, "layer", target], expected, rtol=1e-9, atol=1e-12)


def test_the_same_mask_of_two_samples_is_two_masks():
    model = chosen(2, SIGNED, SQUARE)
    x = images(2, batch=1).repeat(2, 1, 1, 1) * torch.tensor([1.0, 3.0]).view(2, 1, 1, 1).double()
    found = explain(model, x, [1], methods=["scorecam"], layers=["layer"])["scorecam", "layer"]
    np.testing.assert_allclose(found, by_oracle("scorecam", model, x, [1, 1]), rtol=1e-9)


def shares(note):
    return [float(one) for one in re.findall(r"\d\.\d{3}", note)]


def test_the_note_tells_how_even_the_weights_are():
    model, x = small(2, rectified=False, affine=False), images(2)

    def entropy(factor):
        with torch.no_grad():
            model.tail[3].weight.mul_(factor)
        return shares(explain(model, x, [1], methods=["scorecam"], layers=["layer"]).notes["scorecam", "layer"])

    even, mixed, sharp = entropy(1e-6), entropy(1e7), entropy(1e6)
    assert even == [1, 1]
    assert 0 < mixed[0] < mixed[1] < 1
    assert sharp == [0, 0]


def test_a_single_channel_has_all_the_weight():
    model, x = small(2, rectified=True, affine=False, channels=1), images(2)
    found = explain(model, x, [1], methods=["scorecam"], layers=["layer"])
    assert shares(found.notes["scorecam", "layer"]) == [0, 0]
    torch.testing.assert_close(found["scorecam", "layer"], model.layer(model.trunk(x)).detach()[:, 0])


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("faster_scorecam", {"count": 3}),
        ("faster_scorecam", {"count": 10}),
        ("sscam", {"samples": 2, "deviation": 0.0}),
        ("iscam", {"steps": 1}),
    ],
)
def test_each_relative_becomes_scorecam(axes, name, settings):
    model, x = small(axes, rectified=False, affine=False), images(axes)
    found = explain(model, x, [1], methods=["scorecam", name], layers=["layer"], options={name: settings}).maps
    torch.testing.assert_close(found[name, "layer", 1], found["scorecam", "layer", 1])


@pytest.mark.parametrize(("name", "least"), [("scorecam", 0.0), ("iscam", 0.0)])
def test_masks_stay_between_0_and_1(name, least):
    model, x, seen = small(2, rectified=False, affine=False), images(2), []
    ones = torch.ones_like(x)
    with model.trunk.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0])):
        explain(model, ones, [1], methods=[name], layers=["layer"])
    masks = torch.cat(seen[1:])
    assert float(masks.min()) == least
    assert float(masks.max()) == 1


def test_the_seed_decides_the_noise_and_the_random_masks():
    model, x = small(2, rectified=False, affine=False), images(2)
    for name in ("sscam", "rise"):
        maps = []
        for seed in (0, 0, 1):
            settings = {name: {**FEW[name], "seed": seed}}
            (_, found), *_ = explain(model, x, [1], methods=[name], layers=["layer"], options=settings)
            maps.append(found)
        assert torch.equal(maps[0], maps[1])
        assert not torch.allclose(maps[0], maps[2])


def with_logits(values, **options):
    """A network whose logits for the first image are these."""
    model, x = small(2, rectified=True, affine=False, **options), images(2, batch=1)
    with torch.no_grad():
        model.tail[3].bias += torch.tensor(values, dtype=torch.float64) - model(x)[0]
    return model, x


def test_ablation_says_where_the_logit_is_negative_and_the_weights_turn_their_sign():
    model, x = with_logits([2.0, -1.0, 0.5])
    found = explain(model, x, [0, 1, 2], methods=["ablationcam"], layers=["layer"])
    note = found.notes["ablationcam", "layer"]
    assert note == "tail resumed; y is negative, which turns every sign, in 1 of 3 maps"
    for label in range(3):
        expected = by_oracle("ablationcam", model, x, [label])
        np.testing.assert_allclose(found.maps["ablationcam", "layer", label], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("affine", [False, True])
def test_ablation_gives_no_map_and_says_so_where_the_logit_is_0(affine):
    model, x = small(2, rectified=True, affine=affine), images(2)
    with torch.no_grad():
        model.tail[-1].weight[1] = model.tail[-1].bias[1] = 0
    found = explain(model, x, [0, 1], methods=["ablationcam"], layers=["layer"])
    assert not found.maps["ablationcam", "layer", 1].any()
    assert found.maps["ablationcam", "layer", 0].any()
    assert found.notes["ablationcam", "layer"].endswith("; y is 0, so there is no map, in 3 of 6")


def test_ablation_does_not_run_a_channel_that_is_0_already():
    shown = []
    for channels in ((SIGNED, SQUARE), (SIGNED, DEAD, SQUARE)):
        model, x = chosen(2, *channels), images(2)
        found = explain(model, x, [1], methods=["ablationcam"], layers=["layer"])
        np.testing.assert_allclose(
            found["ablationcam", "layer"], by_oracle("ablationcam", model, x, [1, 1, 1]), rtol=1e-9, atol=1e-12
        )
        rows = []
        with model.tail.register_forward_pre_hook(lambda _m, inputs, rows=rows: rows.append(len(inputs[0]))):
            explain(model, x, [1], methods=["ablationcam"], layers=["layer"])
        shown.append(sum(rows))
    assert shown == [3 + 12 + 6] * 2  # the image; the trial of the tail, whole and resumed; two channels


@pytest.mark.parametrize("axes", [2, 3])
def test_ablation_of_a_dead_layer_is_empty(axes):
    model, x = chosen(axes, DEAD, DEAD), images(axes)
    found = explain(model, x, [1], methods=["ablationcam", "reciprocam"], layers=["layer"])
    reason = "the layer is 0 at every cell for this sample"
    assert ("ablationcam", "layer", 1, 2, reason) in found.empty


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", ["ablationcam", "reciprocam"])
def test_an_affine_tail_needs_no_further_forward(axes, name):
    model, x = chosen(axes, SIGNED, SQUARE, EVEN, linear=True), images(axes)
    found = explain(model, x, [Target([2, 0, 1])], methods=[name], layers=["layer"])
    assert found.notes[name, "layer"].startswith("affine tail: no further forward")
    assert model.rows == 3
    model.rows = 0
    again = explain(model, x, [Target([2, 0, 1]), 0], methods=[name], layers=["layer"])
    assert model.rows == 3
    torch.testing.assert_close(again[name, "layer", Target([2, 0, 1])], found[name, "layer"])


def occluded(model, x, **settings):
    return explain(model, x, [1], methods=["occlusion"], options={"occlusion": settings})["occlusion", "input"]


@pytest.mark.parametrize("axes", [2, 3])
def test_patches_side_by_side_tell_what_each_takes_away(axes):
    model, x = small(axes, rectified=True, affine=False), images(axes)
    found = occluded(model, x, patch=4, stride=4, baseline=0.5)
    covered = x.clone()
    covered[(..., *[slice(4, None)] * axes)] = 0.5  # the last patch is cut off at the border
    with torch.no_grad():
        drop = (model(x) - model(covered))[:, 1]
    corner = found[(..., *[slice(4, None)] * axes)].flatten(1)
    torch.testing.assert_close(corner, drop[:, None].expand_as(corner))
    assert not torch.allclose(found[(..., *[0] * axes)], drop)


def test_sizes_may_differ_by_axis_and_exceed_the_image():
    model, x = small(2, rectified=True, affine=False), images(2)
    rows = occluded(model, x, patch=(1, 50), stride=(1, 50))
    torch.testing.assert_close(rows, rows[:, :, :1].expand_as(rows))
    assert rows[0, :, 0].unique().numel() == 6
    whole = occluded(model, x, patch=50, stride=50)
    with torch.no_grad():
        drop = (model(x) - model(torch.zeros_like(x)))[:, 1]
    torch.testing.assert_close(whole, drop[:, None, None].expand_as(whole))


def test_the_default_patch_is_an_eighth_and_the_default_stride_half_of_it():
    model = CountingRows(nn.Module())
    model.forward = lambda x: (model.rows.append(len(x)), x.flatten(1)[:, :2])[1]
    x = torch.randn(1, 1, 20, 16, 9, generator=torch.Generator().manual_seed(0))
    occluded(model, x)
    # patches of 3, 2 and 2 voxels, every 2, 1 and 1: 10 along the first axis, 15 and 8 along the others
    assert sum(model.rows) == 1 + 10 * 15 * 8


WRONG = [
    ("occlusion", {"patch": 0}, "occlusion.patch must be one number for all axes or 2 numbers, each at least 1, not 0"),
    (
        "occlusion",
        {"patch": (2, 2, 2)},
        r"occlusion.patch must be .* or 2 numbers, each at least 1, not \(2, 2, 2\)",
    ),
    ("occlusion", {"patch": 2, "stride": 3}, r"occlusion.stride must not exceed the patch, \(2, 2\), .* not \(3, 3\)"),
    (
        "occlusion",
        {"patch": 2, "stride": 0},
        "occlusion.stride must be one number for all axes or 2 numbers, each at least 1, not 0",
    ),
    (
        "rise",
        {"count": 0},
        "rise.count and rise.cells must be at least 1, .* received count 0, cells 7, probability 0.5",
    ),
    ("rise", {"cells": 0}, "rise.count and rise.cells must be at least 1"),
    ("rise", {"probability": 0.0}, "probability above 0 and at most 1"),
    ("rise", {"probability": 1.5}, "probability above 0 and at most 1"),
    ("faster_scorecam", {"count": 0}, "faster_scorecam.count must be at least 1, not 0"),
    ("sscam", {"samples": 0}, "samples must be at least 1 and deviation at least 0, not 0 and 2.0"),
    ("sscam", {"deviation": -1.0}, "samples must be at least 1 and deviation at least 0, not 35 and -1.0"),
    ("iscam", {"steps": 0}, "iscam.steps must be at least 1, not 0"),
]


@pytest.mark.parametrize(("name", "settings", "message"), WRONG)
def test_options_that_make_no_sense_are_refused(name, settings, message):
    model, x = small(2, rectified=True, affine=False), images(2)
    with pytest.raises(ValueError, match=message):
        explain(model, x, [1], methods=[name], layers=["layer"], options={name: settings})


@pytest.mark.parametrize("axes", [2, 3])
def test_rise_masks_that_are_all_on_give_the_logit_everywhere(axes):
    model, x = small(axes, rectified=True, affine=False), images(axes)
    settings = {"rise": {"count": 5, "cells": 3, "probability": 1.0}}
    found = explain(model, x, [1], methods=["rise"], options=settings)
    maps = found["rise", "input"]
    torch.testing.assert_close(maps, found.logits[:, 1].view(-1, *[1] * axes).expand_as(maps))


def test_rise_masks_are_on_as_often_as_asked():
    model = CountingRows(nn.Module())
    model.forward = lambda x: (model.rows.append(x), x.flatten(1)[:, :2])[1]
    settings = {"rise": {"count": 2000, "cells": 4, "probability": 0.25}}
    explain(model, torch.ones(1, 1, 9, 13), [1], methods=["rise"], options=settings)
    masks = torch.cat(model.rows[1:])
    assert masks.shape == (2000, 1, 9, 13)
    torch.testing.assert_close(masks.mean(dim=0), torch.full((1, 9, 13), 0.25), rtol=0, atol=0.05)
    assert float(masks.min()) == 0
    assert float(masks.max()) == 1


def test_channels_first_image_of_several_channels_is_masked_in_all():
    torch.manual_seed(0)
    model = nn.Sequential(conv(2, 3, 4, 3), nn.ReLU(), conv(2, 4, 2, 2), nn.ReLU(), pool(2), nn.Flatten())
    model, x = model.double().eval(), torch.randn(2, 3, 7, 6, generator=torch.Generator().manual_seed(1)).double()
    for name in ("scorecam", "occlusion", "rise"):
        settings = {"occlusion": {"patch": 3, "stride": 2, "baseline": 0.25}}
        settings["rise"] = {"count": 12, "cells": 2, "probability": 0.4, "seed": 5}
        (_, found), *_ = explain(model, x, [1], methods=[name], layers=["0"], options=settings)
        expected = by_oracle(name, model, x, [1, 1], layers=["0"])
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
