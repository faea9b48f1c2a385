"""How often LRP and DeepLIFT run each layer, and that what they leave out of it would have changed nothing."""

import gc
import weakref

import pytest
import torch
from torch import nn

from cam import Memory, explain
from camaudit.testing.multiply_adds import multiply_adds
from tests.cam.networks import conv, images, pool


def mapped(model, x, method="lrp", target=1, memory=None, **options):
    options, memory = {method: options}, memory or Memory()
    (maps,) = explain(model, x, target=target, methods=method, options=options, memory=memory).maps.values()
    return maps


class Chain(nn.Module):
    """Two convolutions, each with a batch normalisation and a ReLU, and a linear layer."""

    def __init__(self, axes):
        super().__init__()
        norm = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[axes]
        self.first, self.first_norm = conv(axes, 1, 4, 3, padding=1), norm(4)
        self.second, self.second_norm = conv(axes, 4, 8, 3, padding=1), norm(8)
        self.relu, self.pool, self.head = nn.ReLU(inplace=True), pool(axes), nn.Linear(8, 3)

    def forward(self, x):
        x = self.relu(self.first_norm(self.first(x)))
        x = self.relu(self.second_norm(self.second(x)))
        return self.head(self.pool(x).flatten(1))


def chain(axes):
    torch.manual_seed(2)
    return Chain(axes).double().eval()


RUNS = {
    "epsilon": (2, 2, 2),
    "zplus": (5, 3, 3),
    "gamma": (6, 3, 4),
    "epsilon_plus": (5, 3, 2),
    "epsilon_plus_flat": (3, 3, 2),
    "epsilon_gamma_box": (5, 3, 2),
}
"""How often each layer is run, forwards and backwards together: the image has values of both signs, the logits too."""


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("composite", RUNS)
def test_a_layer_behind_a_relu_is_run_three_times_and_its_batch_normalisation_costs_nothing(composite, axes):
    model, x, memory = chain(axes), images(axes, batch=1), Memory()
    layers = model.first, model.second, model.head
    shapes = (1, 1, *x.shape[2:]), (1, 4, *x.shape[2:]), (1, 8)
    costs = [
        multiply_adds(lambda layer=layer, shape=shape: layer(torch.zeros(shape).double()))
        for layer, shape in zip(layers, shapes, strict=True)
    ]
    mapped(model, x, memory=memory, composite=composite)
    run = multiply_adds(lambda: mapped(model, x, memory=memory, composite=composite)) - sum(costs)
    assert run == sum(times * cost for times, cost in zip(RUNS[composite], costs, strict=True))


@pytest.mark.parametrize("axes", [2, 3])
def test_deeplift_is_two_forwards_and_one_backward(axes):
    model, x, memory = chain(axes), images(axes), Memory()
    mapped(model, x, "deeplift", memory=memory)
    forward = multiply_adds(lambda: model(x))
    assert multiply_adds(lambda: mapped(model, x, "deeplift", memory=memory)) == (1 + 3) * forward


def test_a_second_target_adds_a_backward():
    model, x, memory = chain(2), images(2, batch=1), Memory()

    def run(targets):
        explain(model, x, targets, methods="lrp", options={"lrp": {"composite": "zplus"}}, memory=memory)

    run([0])
    both, first = multiply_adds(lambda: run([0, 1])), multiply_adds(lambda: run([0]))
    backward = multiply_adds(lambda: model(x)) + multiply_adds(lambda: model.first(x))  # of two parts at the image
    assert both - first == backward


class Also(nn.Module):
    """Logits that a ReLU reads too, whose result does not count."""

    def __init__(self, sees):
        super().__init__()
        torch.manual_seed(1)
        self.body, self.sees = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 4)).double(), sees

    def forward(self, x):
        logits = self.body(x)
        if self.sees:
            logits.relu()
        return logits


def test_logits_below_0_that_a_relu_reads_beside_keep_their_relevance():
    x = images(2)
    target = int(Also(sees=False)(x)[0].argmin())
    assert float(Also(sees=False)(x)[0, target].detach()) < 0
    for composite in ("gamma", "zplus"):
        expected = mapped(Also(sees=False).eval(), x, target=target, composite=composite)
        torch.testing.assert_close(mapped(Also(sees=True).eval(), x, target=target, composite=composite), expected)


class Joined(nn.Module):
    """A convolution that sees what ``join`` makes of a rectified value, and one that sees it behind a plain sum."""

    def __init__(self, join, *, channels):
        super().__init__()
        torch.manual_seed(5)
        self.first, self.middle = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.second = nn.Conv2d(channels, 3, 3)
        self.head, self.join = nn.Linear(3 * 16, 3), join

    def forward(self, x):
        made = self.join(self.middle(self.first(x).relu()).relu(), x)
        return self.head(self.second(made).relu().flatten(1))


JOINS = {
    "less than 0": (lambda features, _: features - 0.5, 2),
    "and a number below 0": (lambda features, _: features + -0.5, 2),
    "and a constant": (lambda features, _: features + torch.linspace(-1, 1, 36).view(6, 6).double(), 2),
    "negated": (lambda features, _: -features, 2),
    "beside the image": (lambda features, x: torch.cat([features, x], 1), 3),
    "and the image": (torch.add, 2),
    "padded": (lambda features, _: nn.functional.pad(features, (1, -1), value=-2.0), 2),
    "sharpened": (lambda features, _: nn.functional.interpolate(features, scale_factor=1.0, mode="bicubic"), 2),
}


@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize("composite", ["zplus", "gamma", "epsilon_plus_flat", "epsilon_gamma_box"])
def test_what_has_values_below_0_is_not_taken_for_positive(composite, join, monkeypatch):
    """Against the same rules with nothing known of signs and readers."""
    made, channels = JOINS[join]
    model, x = Joined(made, channels=channels).double().eval(), images(2)
    ours = mapped(model, x, composite=composite)
    monkeypatch.setattr("cam.procedures.relevance_rules._RECTIFYING", ())
    torch.testing.assert_close(ours, mapped(model, x, composite=composite))


def test_a_batch_normalisation_over_another_axis_than_a_linear_layers_outputs_is_one_by_itself():
    """(B, C, L) from a linear layer over L: the normalised axis is not the weights'."""
    torch.manual_seed(3)
    rows = nn.Sequential(nn.Flatten(2), nn.Unflatten(2, (6, 6)), nn.Flatten(0, 1), nn.Linear(6, 6), nn.BatchNorm1d(6))
    model = nn.Sequential(*rows, nn.Flatten(), nn.Linear(36, 3)).double().eval()
    with torch.no_grad():
        model[4].running_var.uniform_(0.5, 2), model[4].weight.normal_(), model[4].bias.zero_(), model[3].bias.zero_()
        model[6].bias.zero_()
    x = images(2)
    maps = mapped(model, x, composite="epsilon", epsilon=1e-12)
    torch.testing.assert_close(maps.flatten(1).sum(1), model(x)[:, 1].detach())


@pytest.mark.parametrize(
    ("method", "options"),
    [("lrp", {"composite": "gamma"}), ("lrp", {"composite": "zplus"}), ("attnlrp", {}), ("deeplift", {})],
)
def test_nothing_of_a_pass_is_kept_when_the_map_is_there(method, options, monkeypatch):
    """Without a collection of cycles: graphs of a volume are gigabytes, and autograd's cycles are never collected."""
    seen = []
    convolve = torch.nn.functional.conv2d

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.norm, self.head = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(32, 3)

        def forward(self, x):
            made = convolve(x, self.inner.weight, self.inner.bias)
            seen.append(weakref.ref(made))
            return self.head(self.norm(made).relu().flatten(1))

    gc.disable()
    try:
        mapped(Watched().double().eval(), images(2), method, **options)
    finally:
        gc.enable()
    assert len(seen) > 1
    assert [made() for made in seen if made() is not None] == []
