"""The methods at the input: what holds for each of them beyond its oracle, and what must be refused."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from captum.attr import GuidedBackprop
from torch import nn

from cam import METHODS, Difference, Region, Target, explain
from cam.methods.gradient_shap import uniform_pairs
from cam.methods.kernel_shap import shapley_coalitions
from cam.methods.lime import random_coalitions
from cam.methods.supervoxels import supervoxels
from tests.cam.networks import conv, images, pool, small
from tests.cam.test_capture import furnished, state_of
from tests.oracles import ORACLES, by_oracle
from tests.oracles.attribution import shapley_values

OPTIONS = {
    "saliency": {},
    "smoothgrad": {"samples": 5},
    "integrated_gradients": {"steps": 5},
    "gradient_shap": {"samples": 5},
    "guided_backprop": {},
    "guided_gradcam": {},
    "lime": {"segments": 4, "samples": 30},
    "kernel_shap": {"segments": 4, "samples": 128},
}
GRADIENTS = tuple(name for name in OPTIONS if name not in ("lime", "kernel_shap"))


def explained(name, model, x, targets, *, layer="layer", rows=None, **options):
    """Return the maps (T, B, *S) of one method."""
    chosen = {name: OPTIONS[name] | options}
    found = explain(model, x, targets, methods=[name], layers=[layer], options=chosen, rows=rows)
    return torch.stack(list(found.maps.values()))


def coloured(axes, seed=0):
    """Two input channels, three labels, nothing linear: convolution, ReLU, convolution, tanh."""
    torch.manual_seed(seed)
    layer = nn.Sequential(conv(axes, 2, 3, 3), nn.ReLU())
    head = [conv(axes, 3, 4, 2), nn.Tanh(), pool(axes), nn.Flatten(), nn.Linear(4, 3)]
    return nn.Sequential(layer, *head).double().eval()


def two_channels(axes, batch=3, seed=1):
    shape = (batch, 2, *(6, 5, 4)[:axes])
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", OPTIONS)
def test_method_equals_oracle_on_images_of_two_channels(name, axes):
    """The reduction over channels is part of the method; the networks of ``test_methods`` take one."""
    model, x, labels = coloured(axes), two_channels(axes, batch=2), [2, 0]
    found = explained(name, model, x, [Target(labels)], layer="0", **ORACLES[name].options)[0]
    expected = by_oracle(name, model, x, labels, layers=["0"])
    tolerance = ORACLES[name].tolerance
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("rows", [None, 1, 2, 4], ids=lambda rows: f"rows-{rows}")
@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", OPTIONS)
def test_a_batch_of_own_targets_is_its_samples_one_by_one_however_many_rows_fit(name, axes, rows):
    model, x, labels = coloured(axes), two_channels(axes), [2, 0, 1]
    whole = explained(name, model, x, [Target(labels), Difference(1, labels)], layer="0", rows=rows)
    assert whole.shape == (2, 3, *x.shape[2:])
    for number, label in enumerate(labels):
        alone = explained(name, model, x[[number]], [label, Difference(1, label)], layer="0")
        torch.testing.assert_close(whole[:, [number]], alone, rtol=1e-5, atol=1e-8)
        other = explained(name, model, x[[number]], [(label + 1) % 3], layer="0")
        assert not torch.allclose(whole[0, [number]], other[0], rtol=1e-2)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_model_is_shown_as_many_rows_as_allowed_and_no_more(name):
    model, sizes = coloured(2), []
    model.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    x = two_channels(2, batch=7)
    explained(name, model, x, [1], layer="0", rows=4)
    repeated = sizes[1:]  # after the forward that all methods share
    assert max(repeated) == 4
    assert sum(size < 4 for size in repeated) <= 10, "full chunks but for the last of each sample"


@pytest.mark.parametrize(
    "around", [torch.enable_grad, torch.no_grad, torch.inference_mode], ids=lambda one: one.__name__
)
@pytest.mark.parametrize("name", OPTIONS)
def test_model_input_and_generators_are_left_as_they_were_found(name, around):
    model, x = furnished(), images(2)
    x.grad = torch.ones_like(x)
    expected = explained(name, furnished(), images(2), [0, 1])
    with around():
        before = copy.deepcopy(state_of(model)), x.tolist(), np.random.get_state()[1].tolist()  # noqa: NPY002 - the global one is meant
        found = explained(name, model, x, [0, 1])
        assert (state_of(model), x.tolist(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002
    torch.testing.assert_close(found, expected)
    assert not x.requires_grad
    assert bool((x.grad == 1).all())
    assert not found.requires_grad


@pytest.mark.parametrize("name", OPTIONS)
def test_an_inference_tensor_and_one_that_asks_for_gradients_are_explained_alike(name):
    model, expected = coloured(2), explained(name, coloured(2), two_channels(2), [1], layer="0")
    with torch.inference_mode():
        x = two_channels(2)
    torch.testing.assert_close(explained(name, model, x, [1], layer="0"), expected)
    asking = two_channels(2).requires_grad_()
    torch.testing.assert_close(explained(name, model, asking, [1], layer="0"), expected)
    assert asking.grad is None
    assert asking.requires_grad


class Failing(nn.Module):
    """Fails from the given forward on; until then an identity that a gradient passes."""

    def __init__(self, first, error):
        super().__init__()
        self.left, self.error = first, error

    def forward(self, x):
        self.left -= 1
        if self.left < 0:
            raise self.error
        return x


@pytest.mark.parametrize("name", OPTIONS)
def test_model_is_left_as_it_was_found_after_an_exception(name):
    model, x = furnished(), images(2)
    model.tail.append(Failing(1, RuntimeError("broken on purpose")).eval())
    before = copy.deepcopy(state_of(model))
    with pytest.raises(RuntimeError, match="broken on purpose"):
        explained(name, model, x, [0])
    assert state_of(model) == before


class Tight(nn.Module):
    """Memory for so many rows and no more, once the first forward is over."""

    def __init__(self, model, rows):
        super().__init__()
        self.model, self.rows, self.first = model, rows, True

    def forward(self, x):
        if len(x) > self.rows and not self.first:
            raise torch.OutOfMemoryError("no memory on purpose")
        self.first = False
        return self.model(x)


@pytest.mark.parametrize("name", OPTIONS)
def test_rows_are_halved_when_memory_runs_out(name):
    model, x = coloured(2), two_channels(2)
    before = copy.deepcopy(state_of(model))
    found = explained(name, Tight(model, 2).eval(), x, [1], layer="model.0", rows=11)
    torch.testing.assert_close(found, explained(name, model, x, [1], layer="0"))
    with pytest.raises(torch.OutOfMemoryError, match="no memory on purpose"):
        explained(name, Tight(model, 0).eval(), x, [1], layer="model.0", rows=11)
    assert state_of(model) == before


SEGMENTED = {
    "lime": {"segments": 12},
    "kernel_shap": {"segments": 12},
}


class Planted(nn.Module):
    """Logit 1 reads the brightness of one region alone; ``layer`` is the image, rectified."""

    def __init__(self, region):
        super().__init__()
        self.layer = nn.ReLU()
        self.register_buffer("region", region)

    def forward(self, x):
        read = (self.layer(x) ** 2 * self.region).flatten(1).sum(1)
        return torch.stack([torch.zeros_like(read), read], dim=1)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", OPTIONS)
def test_where_one_region_alone_matters_the_map_lies_there(name, axes):
    region = torch.zeros(8, 9, 8)[(0,) * (3 - axes)].double()
    region[(slice(5, 8), slice(1, 4), slice(4, 8))[3 - axes :]] = 1
    x = 0.2 * region + 0.8 * region.flip(0) + 0.01
    options = {"gradient_shap": {"baselines": torch.zeros_like(x)[None, None]}} | SEGMENTED
    (found,) = explained(name, Planted(region).eval(), x[None, None], [1], **options.get(name, {}))
    inside = found[0][region > 0]
    assert bool((inside > 0).all())
    outside = found[0][region == 0].abs()
    assert float(outside.max()) <= (0.3 if name in SEGMENTED else 0) * float(inside.max())


def pointwise(axes):
    torch.manual_seed(3)
    layers = [conv(axes, 2, 4, 1), nn.ReLU(), conv(axes, 4, 3, 1), nn.Tanh(), pool(axes), nn.Flatten(), nn.Linear(3, 2)]
    return nn.Sequential(*layers).double().eval()


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", [name for name in GRADIENTS if name != "smoothgrad"])
def test_flipping_and_permuting_the_image_flips_and_permutes_the_map(name, axes):
    """Not of the methods whose noise or supervoxels stay where they are."""
    model, x = pointwise(axes), two_channels(axes)
    upright = explained(name, model, x, [1], layer="2")[0]
    for axis in range(axes):
        torch.testing.assert_close(explained(name, model, x.flip(2 + axis), [1], layer="2")[0], upright.flip(1 + axis))
    for order in itertools.permutations(range(axes)):
        moved = explained(name, model, x.permute(0, 1, *(2 + axis for axis in order)), [1], layer="2")[0]
        torch.testing.assert_close(moved, upright.permute(0, *(1 + axis for axis in order)))


@pytest.mark.parametrize("name", OPTIONS)
def test_the_sign_is_the_declared_one(name):
    lowest = float(explained(name, coloured(2), two_channels(2, batch=8), [0, 1, 2], layer="0").min())
    assert (lowest < 0) == METHODS[name].signed


@pytest.mark.parametrize("name", OPTIONS)
def test_the_score_of_a_region_of_a_segmentation_network_is_explained(name):
    model, x = nn.Sequential(conv(2, 2, 3, 3, padding=1), nn.ReLU(), conv(2, 3, 2, 1)).double().eval(), two_channels(2)
    mask = torch.zeros(3, 6, 5)
    mask[0, 0, 0] = mask[1, 5, 4] = mask[2, 5, 0] = 1
    found = explained(name, model, x, [Region(1, mask)], layer="1")[0]
    if name in GRADIENTS:
        reach = torch.nn.functional.max_pool2d(mask[:, None], 3, stride=1, padding=1)[:, 0].double()
        assert bool(found.any())
        assert not (found * (1 - reach)).any(), "each sample is asked about its own mask"


# integrated gradients, GradientSHAP, SmoothGrad


@pytest.mark.parametrize("axes", [2, 3])
def test_integrated_gradients_sum_to_the_change_from_the_baseline(axes):
    model, x = pointwise(axes), two_channels(axes)
    model[1] = nn.Softplus().eval()  # smooth: few steps suffice
    found = explained("integrated_gradients", model, x, [0], layer="2", steps=20, baseline=0.7)[0]
    change = model(x)[:, 0] - model(torch.full_like(x, 0.7))[:, 0]
    torch.testing.assert_close(found.flatten(1).sum(1), change.detach(), rtol=1e-6, atol=1e-7)


def linear(axes, channels=2):
    torch.manual_seed(4)
    flat = channels * math.prod((6, 5, 4)[:axes])
    return nn.Sequential(nn.Flatten(), nn.Linear(flat, 2)).double().eval()


@pytest.mark.parametrize("axes", [2, 3])
def test_gradient_shap_of_a_linear_model_sums_to_the_score_less_its_mean_over_the_baselines(axes):
    model, x = linear(axes), two_channels(axes)
    baselines = two_channels(axes, batch=4, seed=9)
    found = explain_input("gradient_shap", model, x, samples=16, seed=3, baselines=baselines)
    chosen = [int(height * 4) for _, height in uniform_pairs(16, 3).tolist()]
    assert set(chosen) == {0, 1, 2, 3}
    expected = model(x)[:, 1] - model(baselines[chosen])[:, 1].mean()
    torch.testing.assert_close(found.flatten(1).sum(1), expected.detach())


def explain_input(name, model, x, **options):
    """Return the maps (B, *S) of label 1, from a model that need have no layer."""
    ((_, maps),) = explain(model, x, [1], methods=[name], options={name: options})
    return maps


def test_gradient_shap_with_one_baseline_comes_to_integrated_gradients():
    model, x = pointwise(2), two_channels(2)
    drawn = explain_input("gradient_shap", model, x, samples=3000, baselines=torch.zeros_like(x[:1]))
    exact = explain_input("integrated_gradients", model, x, steps=200)
    assert float((drawn - exact).abs().max()) < 0.05 * float(exact.abs().max())


@pytest.mark.parametrize("name", ["smoothgrad", "gradient_shap", "lime"])
def test_another_seed_draws_other_numbers(name):
    model, x = coloured(2), two_channels(2)
    zero, one = (explained(name, model, x, [1], layer="0", seed=seed) for seed in (0, 1))
    assert not torch.allclose(zero, one, rtol=1e-3)


def test_smoothgrad_without_noise_is_saliency():
    model, x = coloured(3), two_channels(3)
    smooth = explained("smoothgrad", model, x, [1], layer="0", noise=0)
    torch.testing.assert_close(smooth, explained("saliency", model, x, [1], layer="0"))


# guided backpropagation


class RereadingNetwork(nn.Module):
    """Reads the ReLU's input a second time, as pre-activation residual networks do."""

    def __init__(self, rectify):
        super().__init__()
        self.first, self.rectify, self.last = conv(2, 2, 3, 3), rectify, nn.Linear(3, 3)

    def forward(self, x):
        seen = self.first(x)
        return self.last((self.rectify(seen) - 2 * seen).mean((2, 3)))


def captums(model, x, label):
    """captum's guided backpropagation, summed over channels; it speaks of the hooks that it sets."""
    with pytest.warns(UserWarning, match="Setting backward hooks on ReLU activations"):
        return GuidedBackprop(model).attribute(x.clone().requires_grad_(), target=label).sum(1)


@pytest.mark.parametrize("axes", [2, 3])
def test_guided_backprop_is_captums_where_relu_modules_have_inputs_of_their_own(axes):
    model, x = coloured(axes), two_channels(axes)
    torch.testing.assert_close(explained("guided_backprop", model, x, [1])[0], captums(model, x, 1))


@pytest.mark.parametrize("rectify", [nn.ReLU(), nn.functional.relu, torch.relu], ids=["module", "functional", "torch"])
def test_what_else_reads_a_relus_input_is_not_guided(rectify):
    torch.manual_seed(5)
    model, x = RereadingNetwork(rectify).double().eval(), two_channels(2)
    above = (model.last.weight[1] / 12)[None, :, None, None].expand(3, 3, 4, 3)  # the mean is over 4 x 3 cells
    seen = model.first(x)
    below = (seen > 0) * above.relu() - 2 * above
    expected = torch.nn.functional.conv_transpose2d(below, model.first.weight).sum(1).detach()
    torch.testing.assert_close(explain_input("guided_backprop", model, x), expected)
    assert not torch.allclose(captums(model, x, 1), expected, rtol=1e-2), "captum guides it all, or nothing"


def test_other_activations_are_named_in_the_note():
    model = pointwise(2)
    model[3] = nn.SiLU().eval()
    found = explain(model, two_channels(2), [1], methods=["guided_backprop", "guided_gradcam"], layers=["2"])
    assert found.notes == {
        ("guided_backprop", "input"): "not guided: Silu",
        ("guided_gradcam", "2"): "not guided: Silu",
    }
    plain = explain(small(2, rectified=True, affine=True), images(2), [1], methods=["guided_backprop"])
    assert plain.notes == {}


def test_a_model_without_relu_is_refused():
    with pytest.raises(ValueError, match="method 'guided_backprop' needs a model with ReLUs, and this one has none"):
        explain_input("guided_backprop", linear(2), two_channels(2).requires_grad_().relu())


# LIME and KernelSHAP


def blocks():
    """An image (1, 1, 8, 8) of four blocks that are plainly supervoxels, and a model that multiplies their means."""
    x = torch.kron(torch.tensor([[0.0, 1.0], [0.7, 0.3]]), torch.ones(4, 4)).double()[None, None] + 0.5
    return x, Product().eval()


class Product(nn.Module):
    def forward(self, x):
        one, two, three, four = nn.functional.avg_pool2d(x, 4).flatten(1).unbind(1)
        return torch.stack([one, 2 * one * two + two * three * four - one * three + 5], dim=1)


def coefficients(name, **options):
    x, model = blocks()
    (found,) = explain_input(name, model, x, segments=4, **options)
    assert bool((found.unfold(0, 4, 4).unfold(1, 4, 4).flatten(2).std(2) < 1e-7).all()), "one number a block"
    return found[::4, ::4].flatten().numpy()


def worth(on):
    x, model = blocks()
    keep = torch.zeros(4).double()
    keep[list(on)] = 1
    return float(model(x * torch.kron(keep.view(2, 2), torch.ones(4, 4).double()))[0, 1])


def test_kernel_shap_of_all_coalitions_is_the_shapley_value():
    exact = coefficients("kernel_shap", samples=16)
    np.testing.assert_allclose(exact, shapley_values(worth, 4), rtol=1e-5, atol=1e-6)
    assert exact.sum() == pytest.approx(worth(range(4)) - worth([]), rel=1e-6)


def test_kernel_shap_of_drawn_coalitions_comes_near_and_sums_to_the_change_all_the_same():
    heights = torch.tensor([[0.0, 1.0, 0.2, 0.9], [0.7, 0.3, 0.8, 0.1]])
    x, model = torch.kron(heights, torch.ones(4, 4)).double()[None, None] + 0.5, coloured(2)
    x = x.repeat(1, 2, 1, 1)
    exact, drawn, others = (
        explain_input("kernel_shap", model, x, segments=8, **options)[0]
        for options in ({"samples": 256}, {"samples": 255}, {"samples": 255, "seed": 1})
    )
    assert len(exact.unique()) == 8
    assert 0 < float((drawn - exact).abs().max()) < 0.1 * float(exact.abs().max())
    assert float((drawn - others).abs().max()) > 1e-5
    torch.testing.assert_close(drawn.unique().sum(), exact.unique().sum(), rtol=1e-6, atol=1e-6)


def test_coalitions_are_drawn_by_the_shapley_kernel_in_pairs():
    drawn = shapley_coalitions(20_002, 15, seed=0)
    assert drawn.shape == (20_002, 15)
    assert not drawn[0].any()
    assert bool(drawn[-1].all())
    inner = drawn[1:-1]
    assert bool((inner[0::2] + inner[1::2] == 1).all())
    sizes = torch.arange(1, 15)
    expected = 1 / (sizes * (15 - sizes))
    shares = torch.bincount(inner.sum(1), minlength=15)[1:] / len(inner)
    torch.testing.assert_close(shares, expected / expected.sum(), rtol=0.1, atol=0)
    torch.testing.assert_close(inner.double().mean(0), torch.full((15,), 0.5).double(), rtol=0, atol=1e-9)
    singles = inner[inner.sum(1) == 1].double().mean(0)
    torch.testing.assert_close(singles, torch.full((15,), 1 / 15).double(), rtol=0.2, atol=0)


def test_all_coalitions_are_taken_where_they_fit():
    every = {tuple(one) for one in shapley_coalitions(8, 3, seed=0).tolist()}
    assert every == set(itertools.product((0, 1), repeat=3))
    assert len(shapley_coalitions(7, 3, seed=0)) == 6


def test_lime_of_many_draws_comes_to_the_regression_over_all_coalitions():
    every = np.array(list(itertools.product((0, 1), repeat=4)))
    weight = np.sqrt(np.exp(-((1 - np.sqrt(every.mean(1))) ** 2) / 0.25**2))
    root = np.sqrt(weight)[:, None]
    answers = np.array([worth(np.flatnonzero(one)) for one in every])[:, None]
    solved = np.linalg.lstsq(root * np.column_stack([every, np.ones(16)]), root * answers, rcond=None)[0][:4, 0]
    drawn = coefficients("lime", samples=6000)
    np.testing.assert_allclose(drawn, solved, rtol=0, atol=0.04 * np.abs(solved).max())


def test_limes_coalitions_begin_with_the_whole_image_and_halve_it():
    drawn = random_coalitions(4000, 6, seed=2)
    assert bool(drawn[0].all())
    assert set(drawn.flatten().tolist()) == {0, 1}
    torch.testing.assert_close(drawn.double().mean(0), torch.full((6,), 0.5).double(), rtol=0, atol=0.03)


def test_one_supervoxel_gets_the_whole_change():
    x, model = blocks()
    (found,) = explain_input("kernel_shap", model, x, segments=1)
    torch.testing.assert_close(found, torch.full_like(found, worth(range(4)) - worth([])), rtol=1e-6, atol=1e-6)


def test_the_note_tells_the_supervoxels_and_whether_every_coalition_was_shown():
    x, model = blocks()
    both = torch.cat([x, torch.rand(x.shape, generator=torch.Generator().manual_seed(0)).double()])
    options = {"lime": {"segments": 4, "samples": 5}, "kernel_shap": {"segments": 4, "samples": 2**9}}
    notes = explain(model, both, [1], methods=list(options), options=options).notes
    numbers = sorted(int(supervoxels(one, 4, None).max()) + 1 for one in both)
    assert notes["lime", "input"] == f"{numbers[0]} to {numbers[1]} supervoxels"
    assert notes["kernel_shap", "input"] == f"{numbers[0]} to {numbers[1]} supervoxels, all coalitions"
    options["kernel_shap"]["samples"] = 15
    assert explain(model, x, [1], methods=["kernel_shap"], options=options).notes == {
        ("kernel_shap", "input"): "4 to 4 supervoxels"
    }


def textured(shape):
    """Smooth hills, alike along every axis: supervoxels follow them or the spacing."""
    return torch.rand(1, *shape, generator=torch.Generator().manual_seed(7)).double()


@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)], ids=["2d", "3d"])
def test_supervoxels_are_narrower_along_the_axis_of_large_voxels(shape):
    def extents(spacing):
        labels = supervoxels(0.02 * textured(shape) + torch.eye(shape[-1])[(None,) * (len(shape) - 1)], 20, spacing)
        places = [torch.nonzero(labels == one).double() for one in labels.unique()]
        return torch.stack([one.var(0, correction=0) for one in places if len(one) > 1]).mean(0).sqrt()

    even, tall = extents(None), extents((4.0, *[1.0] * (len(shape) - 1)))
    assert float(tall[0] / tall[-1]) < 0.8 * float(even[0] / even[-1])


@pytest.mark.parametrize("axes", [2, 3])
def test_supervoxels_do_not_depend_on_the_unit_of_the_spacing_nor_on_the_images_scale(axes):
    (image,), spacing = two_channels(axes, batch=1), (3.0, 1.0, 2.0)[:axes]
    found = supervoxels(image, 8, spacing)
    assert found.shape == image.shape[1:]
    assert len(found.unique()) == int(found.max()) + 1 > 2
    assert torch.equal(found, supervoxels(image, 8, [one / 1000 for one in spacing]))
    assert torch.equal(found, supervoxels(100 * image - 7, 8, spacing))
    assert not torch.equal(found, supervoxels(image, 8, None))


def test_three_channels_are_not_taken_for_colours():
    """A fourth that is the same everywhere tells SLIC nothing, and keeps it from a change to Lab."""
    image = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(0)).double().cumsum(2).cumsum(1)
    fourth = torch.full_like(image[:1], float(image.mean()))
    found = supervoxels(image, 9, None)
    assert len(found.unique()) > 4
    assert torch.equal(found, supervoxels(torch.cat([image, fourth]), 9, None))


# refusals


class Detached(nn.Module):
    def forward(self, x):
        return x.detach().flatten(1)[:, :3]


class Unfit(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :3] * float("nan")


class Steep(nn.Module):
    """Finite where it stands, with a slope that is not."""

    def forward(self, x):
        return (x - x).abs().sqrt().flatten(1)[:, :3]


@pytest.mark.parametrize("name", [name for name in GRADIENTS if name not in ("guided_gradcam",)])
def test_an_output_without_a_path_to_the_input_is_refused(name):
    with pytest.raises(
        ValueError, match="the model's output does not depend on its input through operations with gradients"
    ):
        explain_input(name, Detached().eval(), two_channels(2))


@pytest.mark.parametrize("name", [name for name in OPTIONS if name not in ("guided_gradcam",)])
def test_an_output_that_is_not_finite_is_refused(name):
    with pytest.raises(ValueError, match="the model's output holds NaN or infinity for this input"):
        explain_input(name, Unfit().eval(), two_channels(2))


def test_gradients_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="the gradients at the input hold NaN or infinity for this input"):
        explain_input("saliency", Steep().eval(), two_channels(2))


WRONG = [
    ("smoothgrad", {"samples": 0}, "smoothgrad.samples must be at least 1 and noise at least 0, not 0 and 0.15"),
    ("smoothgrad", {"noise": -1}, "smoothgrad.samples must be at least 1 and noise at least 0, not 50 and -1"),
    ("integrated_gradients", {"steps": 0}, "integrated_gradients.steps must be at least 1, not 0"),
    ("gradient_shap", {"samples": 0}, "gradient_shap.samples must be at least 1, not 0"),
    (
        "gradient_shap",
        {"baselines": torch.zeros(3, 2, 6)},
        r"gradient_shap.baselines must have shape \(N, 2, 6, 5\), not \(3, 2, 6\)",
    ),
    ("gradient_shap", {"baselines": torch.zeros(0, 2, 6, 5)}, r"\(N, 2, 6, 5\), not \(0, 2, 6, 5\)"),
    ("lime", {"samples": 0}, "lime.samples must be at least 1, not 0"),
    ("lime", {"segments": 0}, r"segments must be at least 1 and spacing 2 positive lengths, not 0 and \(1.0, 1.0\)"),
    ("lime", {"spacing": (1, 2, 3)}, r"spacing 2 positive lengths, not 50 and \(1.0, 2.0, 3.0\)"),
    ("kernel_shap", {"spacing": (0, 1)}, r"spacing 2 positive lengths, not 50 and \(0.0, 1.0\)"),
    ("kernel_shap", {"spacing": (float("nan"), 1)}, r"must be a list of finite numbers or None, not \(nan, 1\)"),
    ("kernel_shap", {"samples": 3, "segments": 4}, "kernel_shap.samples must be at least 4, not 3"),
    ("kernel_shap", {"samples": 5, "segments": 6}, r"kernel_shap.samples must be more than 4 for \d supervoxels"),
]


@pytest.mark.parametrize(("name", "options", "message"), WRONG)
def test_options_that_make_no_sense_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        explain_input(name, coloured(2), two_channels(2), **options)
