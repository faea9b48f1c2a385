"""Mean and spread of a map over dropout masks, an ensemble's members and augmented images."""

import pytest
import torch
from torch import nn

from cam import by_augmentation, by_dropout, by_models, explain, explain_variants
from tests.cam.networks import conv, images, pool, small

HIRES = {"methods": "hirescam", "layers": "layer"}


def dropping(axes, kind=nn.Dropout, p=0.5):
    torch.manual_seed(0)
    layers = [conv(axes, 1, 3, 3), nn.ReLU(), kind(p), pool(axes), nn.Flatten(), nn.Linear(3, 2)]
    return nn.Sequential(*layers).double().eval()


def by_hand(maps):
    stacked = torch.stack(maps)
    return stacked.mean(0), stacked.std(0)


@pytest.mark.parametrize("axes", [2, 3])
def test_an_ensembles_spread_is_that_of_its_members_maps(axes):
    models = [small(axes, seed, rectified=True, affine=False) for seed in range(3)]
    found = explain_variants(by_models(models, images(axes)), [1, 0], **HIRES)
    for label in (0, 1):
        mean, spread = by_hand([explain(model, images(axes), label, **HIRES)["hirescam"] for model in models])
        torch.testing.assert_close(found["hirescam", label], (mean, spread), check_dtype=False)
    torch.testing.assert_close(
        found.scores[:, 0], torch.stack([model(images(axes))[:, 1] for model in models]).detach()
    )


@pytest.mark.parametrize("axes", [2, 3])
def test_flips_are_undone_before_the_maps_are_added(axes):
    model, x = small(axes, rectified=True, affine=False), images(axes)
    turned = [explain(model, x.flip(2 + axis), 1, **HIRES)["hirescam"].flip(1 + axis) for axis in range(axes)]
    maps = [explain(model, x, 1, **HIRES)["hirescam"], *turned]
    found = explain_variants(by_augmentation(model, x, flips=range(axes)), 1, **HIRES)
    torch.testing.assert_close(found["hirescam"], by_hand(maps))


def test_a_network_that_treats_places_alike_has_no_spread_by_flips_and_one_by_noise():
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), pool(2), nn.Flatten(), nn.Linear(3, 2)).double().eval()
    settings = {"methods": "hirescam", "layers": "1"}
    _, still = explain_variants(by_augmentation(model, images(2), flips=(0, 1)), 1, **settings)["hirescam"]
    torch.testing.assert_close(still, torch.zeros_like(still))
    _, moved = explain_variants(by_augmentation(model, images(2), noise=0.1), 1, **settings)["hirescam"]
    assert moved.mean() > 1e-4


@pytest.mark.parametrize("kind", [nn.Dropout, nn.Dropout2d])
def test_dropout_leaves_out_its_share_and_keeps_the_mean(kind):
    model, x = dropping(2, kind, p=0.2), images(2)
    settings = {"methods": "hirescam", "layers": "1"}
    found = explain_variants(by_dropout(model, x, runs=200), 1, **settings)
    plain = explain(model, x, 1, **settings)["hirescam"]
    mean, spread = found["hirescam"]
    assert (mean - plain).abs().max() < 4 * spread.max() / 200**0.5
    assert spread.max() > 0.2 * plain.abs().max()
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(("kind", "whole"), [(nn.Dropout, False), (nn.Dropout2d, True)])
def test_dropout_leaves_out_values_or_whole_channels_as_its_kind_does(kind, whole):
    model, ones = nn.Sequential(kind(0.5)).eval(), torch.ones(2, 8, 6, 6)
    with by_dropout(model, ones)[0].during():
        left = model(ones).flatten(2)
    assert bool((left == left[:, :, :1]).all()) == whole
    assert sorted(left.unique().tolist()) == [0.0, 2.0]


def test_a_variants_mask_is_one_for_all_samples_forwards_and_calls():
    model, x = dropping(2), images(2)
    settings = {"methods": ["hirescam", "occlusion"], "layers": "1"}
    whole = explain_variants(by_dropout(model, x, runs=3, seed=5), 1, **settings)
    again = explain_variants(by_dropout(model, x, runs=3, seed=5), 1, **settings)
    alone = explain_variants(by_dropout(model, x[[1]], runs=3, seed=5), 1, **settings)
    for name in ("hirescam", "occlusion"):
        assert torch.equal(whole[name][1], again[name][1])
        torch.testing.assert_close(whole[name][1][[1]], alone[name][1])
    other = explain_variants(by_dropout(model, x, runs=3, seed=50), 1, **settings)
    assert not torch.allclose(whole["hirescam"][1], other["hirescam"][1])


SAME = small(2, rectified=True, affine=True)
REFUSED = [
    (lambda: by_models([nn.Identity()], images(2)), "models must be at least two members of an ensemble, not 1"),
    (lambda: by_dropout(SAME, images(2)), "Small has no dropout module"),
    (lambda: by_dropout(dropping(2, p=0.0), images(2)), "Sequential has no dropout module"),
    (lambda: by_dropout(dropping(2), images(2), runs=1), "runs must be at least 2, not 1"),
    (lambda: by_augmentation(nn.Identity(), images(2), flips=(2,)), r"flips must be axes within 0 and 1, not \[2\]"),
    (lambda: by_augmentation(nn.Identity(), images(2), noise=-1.0), "at least 0, not -1.0 and 4"),
    (lambda: by_augmentation(nn.Identity(), images(2)), r"needs flips=\(axis, ...\) or noise above 0"),
    (lambda: explain_variants([], 1), "variants must be at least two, not 0"),
    (
        lambda: explain_variants(by_models([SAME, dropping(2)], images(2)), 1),
        "the variants' maps differ: gradcam at 'act' ",
    ),
    (
        lambda: explain_variants(by_dropout(dropping(2), images(2)), None),
        "targets must be stated",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_what_gives_no_spread_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
