"""LRP and DeepLIFT through every kind of linear layer, against their shares written out, and what may not matter."""

import numpy as np
import pytest
import torch
from torch import nn

from cam import PerSample, explain
from tests.cam.networks import conv, images
from tests.oracles.base import Case
from tests.oracles.relevance import contributions_of, relevance_of


def mapped(model, x, method, target=1, **options):
    return explain(model, x, target=target, methods=method, options={method: options})[method, "input"]


def chain(*layers):
    torch.manual_seed(0)
    model = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(3)).double()
    for parameter in model[:-1].parameters():
        nn.init.normal_(parameter, 0.1, 0.7)
    return model


def transposed(axes, *arguments, **options):
    return {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[axes](*arguments, **options)


def pooled(axes, cells):
    return {2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}[axes](cells)


LAYERS = {
    "dilated": lambda axes: chain(conv(axes, 1, 2, 2, dilation=2), nn.ReLU(), conv(axes, 2, 2, 2, dilation=2)),
    "grouped": lambda axes: chain(conv(axes, 1, 4, 2), nn.ReLU(), conv(axes, 4, 4, 2, groups=2), nn.ReLU()),
    "by depth": lambda axes: chain(conv(axes, 1, 2, 2), nn.ReLU(), conv(axes, 2, 4, 2, groups=2, bias=False)),
    "strided": lambda axes: chain(conv(axes, 1, 3, 3, stride=2, padding=1), nn.ReLU()),
    "transposed": lambda axes: chain(conv(axes, 1, 2, 3, stride=2), nn.ReLU(), transposed(axes, 2, 2, 2, stride=2)),
    "transposed and grouped": lambda axes: chain(conv(axes, 1, 4, 4), nn.ReLU(), transposed(axes, 4, 4, 2, groups=2)),
    "pooled to 2": lambda axes: chain(conv(axes, 1, 3, 2), nn.ReLU(), pooled(axes, 2)),
    "not rectified": lambda axes: chain(conv(axes, 1, 2, 2), conv(axes, 2, 2, 2)),
    "with dropout": lambda axes: chain(conv(axes, 1, 2, 2), nn.Dropout(0.5), nn.ReLU(), nn.Dropout(0.5)),
}


def built(name, axes):
    model = LAYERS[name](axes).eval()
    with torch.no_grad():
        model(images(axes))  # the last layer learns its size
    return model


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("composite", ["zplus", "gamma", "epsilon_plus_flat", "epsilon_gamma_box"])
def test_a_layers_shares_are_those_written_out(composite, name, axes):
    model, x = built(name, axes), images(axes, batch=1)
    options = {"composite": composite, "epsilon": 1e-3, "gamma": 0.6}
    expected = relevance_of(Case(model, x, ("0",), 1, options)).sum(axis=0)
    np.testing.assert_allclose(mapped(model, x, "lrp", **options)[0], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layers_multipliers_are_those_written_out(name, axes):
    model, x = built(name, axes), images(axes, batch=1)
    expected = contributions_of(Case(model, x, ("0",), 1, {}), torch.full_like(x, 0.2))
    np.testing.assert_allclose(mapped(model, x, "deeplift", baseline=0.2)[0], expected, rtol=1e-6, atol=1e-9)


class Shared(nn.Module):
    """One ReLU and one batch normalisation for several places, a residual sum, and a largest value over places."""

    def __init__(self, axes):
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second = conv(axes, 1, 3, 3, padding=1), conv(axes, 3, 3, 3, padding=1)
        self.norm = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[axes](3)
        self.relu, self.head = nn.ReLU(inplace=True), nn.Linear(3, 3)
        self.norm.running_var.uniform_(0.5, 2), self.norm.running_mean.normal_()

    def forward(self, x):
        x = self.relu(self.norm(self.first(x)))
        x = self.relu(self.norm(self.second(x)) + x)
        return self.head(x.flatten(2).amax(2))


METHODS = {
    "zplus": ("lrp", {"composite": "zplus"}),
    "box": ("lrp", {"composite": "epsilon_gamma_box"}),
    "deeplift": ("deeplift", {"baseline": 0.1}),
}


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", METHODS)
def test_samples_of_a_batch_and_their_order_in_memory_make_no_difference(name, axes):
    (method, options), model, x = METHODS[name], Shared(axes).double().eval(), images(axes, batch=5)
    targets = [0, 2, 1, 1, 0]
    together = mapped(model, x, method, PerSample(targets), **options)
    for number, target in enumerate(targets):
        torch.testing.assert_close(together[[number]], mapped(model, x[[number]], method, target, **options))
    layout = {2: torch.channels_last, 3: torch.channels_last_3d}[axes]
    other = mapped(model.to(memory_format=layout), x.to(memory_format=layout), method, PerSample(targets), **options)
    torch.testing.assert_close(other, together)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", METHODS)
def test_half_precision_is_near_and_what_overflows_in_it_is_refused(name, kind):
    (method, options), model, x = METHODS[name], Shared(2).double().eval(), images(2)
    exact = mapped(model, x, method, **options)
    near = mapped(model.to(kind), x.to(kind), method, **options).double()
    apart = (near - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)
    assert float(apart.max()) < {torch.float32: 1e-4, torch.bfloat16: 0.15, torch.float16: 0.02}[kind]


def test_a_largest_value_over_places_hands_its_difference_to_its_place():
    model = nn.Sequential(nn.Flatten(2), Largest(), nn.Linear(1, 2)).double().eval()
    x = torch.tensor([[[[1.0, 4.0], [2.0, 3.0]]]], dtype=torch.float64)
    expected = torch.tensor([[[0.0, 4.0], [0.0, 0.0]]], dtype=torch.float64) * model[2].weight[1, 0].detach()
    torch.testing.assert_close(mapped(model, x, "deeplift"), expected)


class Largest(nn.Module):
    def forward(self, x):
        return x.amax(2)
