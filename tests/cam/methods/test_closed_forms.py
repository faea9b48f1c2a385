"""Methods on networks whose map is known in closed form: no oracle stands between the formula and the answer."""

import numpy as np
import pytest
import torch
from torch import nn

from cam import explain
from cam.methods.supervoxels import supervoxels
from tests.cam.networks import KINDS, conv, encoder, images, pool, small
from tests.oracles import by_oracle

SIDES = {2: (6, 5), 3: (4, 3, 5)}


def field(axes, seed=0, batch=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 1, *SIDES[axes], generator=generator, dtype=torch.float64)


class WeightedSum(nn.Module):
    """y = sum of w f(x) + 2, two labels of opposite sign."""

    def __init__(self, weights, function=lambda x: x):
        super().__init__()
        self.weights, self.function = nn.Parameter(weights), function

    def forward(self, x):
        y = (self.weights * self.function(x)).flatten(1).sum(1) + 2
        return torch.stack([-y, y], dim=1)


def linear(axes, function=lambda x: x):
    return WeightedSum(field(axes, 7)[0], function).eval()


def mapped(method, model, x, target=1, layers="layer", **options):
    found = explain(model, x, target=target, methods=method, layers=layers, options={method: options})
    return next(iter(found.maps.values()))


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("samples", [2000, 40])
def test_kernel_shap_of_a_linear_model_is_each_regions_change_whether_all_coalitions_fit_or_not(axes, samples):
    model, x = linear(axes), field(axes)
    found = mapped("kernel_shap", model, x, segments=8, samples=samples, baseline=0.3)[0]
    alone, labels = (model.weights[0].detach() * (x[0, 0] - 0.3)), supervoxels(x[0], 8, None)
    assert int(labels.max()) >= 3
    for region in labels.unique():
        value = found[labels == region]
        torch.testing.assert_close(value, alone[labels == region].sum().expand_as(value))


def test_kernel_shap_shares_an_interaction_between_its_players():
    """y = x1 x2 of two voxels far apart: Shapley gives their regions half of it each, and nothing to all others."""

    class Both(nn.Module):
        def forward(self, x):
            y = x[:, 0, 0, 0] * x[:, 0, -1, -1]
            return torch.stack([-y, y], dim=1)

    x = 1 + field(2).abs()
    labels = supervoxels(x[0], 6, None)
    assert labels[0, 0] != labels[-1, -1]
    half = float(x[0, 0, 0, 0] * x[0, 0, -1, -1] / 2)
    expected = half * ((labels == labels[0, 0]) | (labels == labels[-1, -1]))
    torch.testing.assert_close(mapped("kernel_shap", Both().eval(), x, segments=6, samples=2**14)[0], expected.double())


def test_lime_is_linear_in_the_score_and_its_coefficients_are_the_change_less_the_penaltys_shrinking():
    model, x = linear(2), field(2)
    options = {"segments": 4, "samples": 4000, "baseline": 0.3}
    once = mapped("lime", model, x, **options)
    with torch.no_grad():
        model.weights *= 2
    torch.testing.assert_close(mapped("lime", model, x, **options), 2 * once)
    exact = mapped("kernel_shap", model, x, segments=4, baseline=0.3)
    ratios = (2 * once / exact).unique()
    assert 0.7 < float(ratios.min()) <= float(ratios.max()) < 1.05


@pytest.mark.parametrize("axes", [2, 3])
def test_gradient_shap_of_a_linear_model_is_the_weights_times_the_change_from_the_baseline(axes):
    model, x, baseline = linear(axes), field(axes), field(axes, 3)
    found = mapped("gradient_shap", model, x, samples=3, baselines=baseline)
    torch.testing.assert_close(found, (model.weights * (x - baseline))[:, 0].detach())


def test_gradient_shap_draws_the_place_on_the_line_evenly_and_independently_of_the_baseline():
    model, x, baseline = linear(2, lambda x: x**3), field(2), torch.zeros(1, 1, *SIDES[2], dtype=torch.float64)
    found = mapped("gradient_shap", model, x, samples=4000, baselines=baseline)
    expected = (model.weights * x**3)[:, 0].detach()  # 3 E[a^2] = 1
    torch.testing.assert_close(found, expected, rtol=0.05, atol=1e-9)


@pytest.mark.parametrize("axes", [2, 3])
def test_smoothgrad_of_a_linear_model_is_the_weights_size_and_of_a_cube_shows_the_noises_variance(axes):
    x = field(axes)
    model = linear(axes)
    torch.testing.assert_close(mapped("smoothgrad", model, x, samples=2), model.weights.abs().detach())
    cube = linear(axes, lambda x: x**3)
    deviation = 0.2 * float(x.max() - x.min())
    expected = (3 * cube.weights * (x**2 + deviation**2)).abs()[:, 0].detach()
    found = mapped("smoothgrad", cube, x, samples=2000, noise=0.2)
    assert float((found - expected).abs().mean() / expected.mean()) < 0.06


@pytest.mark.parametrize("axes", [2, 3])
def test_smoothgradcampp_is_gradcampp_where_noise_does_not_change_the_gradient(axes):
    model, x = small(axes, rectified=False, affine=True), images(axes)
    torch.testing.assert_close(mapped("smoothgradcampp", model, x, samples=3, noise=0.5), mapped("gradcampp", model, x))


@pytest.mark.parametrize("axes", [2, 3])
def test_noise_on_the_masks_cancels_in_a_linear_model(axes):
    model, x = small(axes, rectified=False, affine=True), images(axes)
    torch.testing.assert_close(mapped("sscam", model, x, samples=3), mapped("scorecam", model, x))


@pytest.mark.parametrize("axes", [2, 3])
def test_masks_that_fade_in_scale_the_score_of_a_homogeneous_network(axes):
    """Without biases f(s x) = s f(x), and the mean of i / N is (N + 1) / 2 N."""
    torch.manual_seed(0)
    head = nn.Linear(3, 2, bias=False)
    model = nn.Sequential(conv(axes, 1, 3, 2, bias=False), nn.ReLU(), pool(axes), nn.Flatten(), head).double().eval()
    x = 3 * images(axes)
    found = mapped("iscam", model, x, layers="1", steps=4)
    with torch.no_grad():
        head.weight *= 5 / 8
    torch.testing.assert_close(found, mapped("scorecam", model, x, layers="1"))


@pytest.mark.parametrize("axes", [2, 3])
def test_guided_gradcam_of_one_positive_channel_is_known(axes):
    """y = v mean(ReLU(k x)): Grad-CAM is v k x+ / Z, guided backpropagation v k / Z where x is positive."""
    model = nn.Sequential(
        conv(axes, 1, 1, 1, bias=False), nn.ReLU(), pool(axes), nn.Flatten(), nn.Linear(1, 2, bias=False)
    )
    model = model.double().eval()
    with torch.no_grad():
        model[0].weight.fill_(3.0)
        model[4].weight[:] = torch.tensor([[-1.0], [2.0]])
    x = field(axes)
    cells = x[0, 0].numel()
    torch.testing.assert_close(mapped("guided_gradcam", model, x, layers="1"), (6 / cells) ** 2 * x[:, 0].relu())
    assert not mapped("guided_gradcam", model, x, 0, layers="1").any()


@pytest.mark.parametrize("axes", [2, 3])
def test_rise_of_one_voxel_is_the_masks_second_moment_there_and_their_mean_far_away(axes):
    """Cells enlarged linearly and moved evenly: E[M] = p, and E[M^2] = p^2 + p (1 - p) (2 / 3)^axes inside."""
    side, chance = {2: 20, 3: 10}[axes], 0.4

    class Voxel(nn.Module):
        def forward(self, x):
            y = x[(slice(None), 0, *[side // 2] * axes)]
            return torch.stack([-y, y], dim=1)

    x = torch.full((1, 1, *[side] * axes), 2.0)
    found = mapped("rise", Voxel().eval(), x, count=3000, cells=5, probability=chance)[0] / 2
    inside = chance + (1 - chance) * (2 / 3) ** axes
    assert float(found[(side // 2,) * axes]) == pytest.approx(inside, rel=0.06)
    assert float(found[(0,) * axes]) == pytest.approx(chance, rel=0.12)
    assert float(found[(side - 1,) * axes]) == pytest.approx(chance, rel=0.12)


@pytest.mark.parametrize("axes", [2, 3])
def test_rise_shows_every_voxel_as_often_the_last_of_each_axis_too(axes):
    class Constant(nn.Module):
        def forward(self, x):
            return x.flatten(1).mean(1, keepdim=True) * 0 + torch.tensor([[-1.0, 1.0]])

    sides = {2: (7, 10), 3: (5, 4, 7)}[axes]  # no multiples of the cells
    found = mapped("rise", Constant().eval(), torch.rand(1, 1, *sides), count=3000, cells=3, probability=0.5)[0]
    assert float((found - 1).abs().max()) < 0.1


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", ["scorecam", "sscam", "iscam"])
def test_repeated_channels_of_several_samples_each_have_their_own_scores(name, axes):
    model, x = small(axes, rectified=False, affine=False), images(axes)
    with torch.no_grad():
        model.layer[0].weight[2], model.layer[0].bias[2] = model.layer[0].weight[0], model.layer[0].bias[0]
    options = {"scorecam": {}, "sscam": {"samples": 4, "deviation": 0.5, "seed": 3}, "iscam": {"steps": 4}}[name]
    found = explain(model, x, target=1, methods=name, layers="layer", options={name: options})[name]
    np.testing.assert_allclose(found, by_oracle(name, model, x, [1, 1, 1]), rtol=1e-9)


@pytest.mark.parametrize("axes", [2, 3])
def test_ablation_takes_away_a_channel_that_is_negative_everywhere(axes):
    model, x = small(axes, rectified=False, affine=False), images(axes)
    with torch.no_grad():
        model.layer[0].bias[0] = -5.0
    found = explain(model, x, target=2, methods="ablationcam", layers="layer", rectify=False)["ablationcam"]
    expected = by_oracle("ablationcam", model, x, [2, 2, 2])
    np.testing.assert_allclose(found.relu(), expected, rtol=1e-7, atol=1e-9)
    with torch.no_grad():
        model.tail[0].weight[:, 0] = 0  # and one that nothing reads has no part, however negative
    without = explain(model, x, target=2, methods="ablationcam", layers="layer", rectify=False)["ablationcam"]
    assert not torch.allclose(found, without)


def test_the_tokens_that_are_read_are_found_where_the_logits_sum_to_nothing():
    model = encoder((2, 3))
    with torch.no_grad():
        model.head.weight[1], model.head.weight[2] = -model.head.weight[0], 0.0
    notes = explain(model, images(2), target=0, methods="attention_rollout").notes
    assert notes["attention_rollout", "input"] == "mean over the rows of 6 tokens"


class Scaled(nn.MultiheadAttention):
    """An attention that does a little more than its weights tell."""

    factor = 1.0

    def forward(self, *given, **named):
        output, weights = super().forward(*given, **named)
        return output * self.factor, weights


@pytest.mark.parametrize(
    ("kind", "small_change", "change"), [(torch.float32, 1e-5, 1e-3), (torch.float64, 1e-10, 1e-6)]
)
def test_an_attention_is_refused_that_returns_more_than_rounding_beside_what_its_weights_give(
    kind, small_change, change
):
    model, x = KINDS["encoder"](2).to(kind), images(2).to(kind)
    for layer in model.encoder.layers:
        layer.self_attn.__class__ = Scaled
        layer.self_attn.factor = 1 + small_change
    explain(model, x, target=0, methods="attention_rollout")
    for layer in model.encoder.layers:
        layer.self_attn.factor = 1 + change
    with pytest.raises(ValueError, match="does more than its weights and values tell"):
        explain(model, x, target=0, methods="attention_rollout")
