"""A network with all weights drawn anew, and what cannot be drawn."""

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.experiments.redrawn import redrawn
from tests.pipeline.experiments.controls import SmallNet


def test_everything_is_drawn_and_batch_normalisation_is_reset():
    network = SmallNet().eval()
    before = copy.deepcopy(network.state_dict())
    with redrawn(network, 3) as weights:
        inside = copy.deepcopy(network.state_dict())
    assert weights.values == weights.redrawn == sum(parameter.numel() for parameter in network.parameters())
    assert (weights.share, weights.left) == (1.0, ())
    for name in ("trunk.1", "trunk.4"):
        assert torch.equal(inside[f"{name}.weight"], torch.ones_like(inside[f"{name}.weight"]))
        assert torch.equal(inside[f"{name}.bias"], torch.zeros_like(inside[f"{name}.bias"]))
        assert torch.equal(inside[f"{name}.running_mean"], torch.zeros_like(inside[f"{name}.running_mean"]))
        assert torch.equal(inside[f"{name}.running_var"], torch.ones_like(inside[f"{name}.running_var"]))
        assert not torch.equal(before[f"{name}.running_var"], inside[f"{name}.running_var"])
    assert not torch.equal(before["head.weight"], inside["head.weight"])
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_seed_alone_tells_what_is_drawn():
    def drawn(seed):
        network = SmallNet()
        with redrawn(network, seed):
            return network.head.weight.detach().clone()

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_the_network_and_all_generators_are_as_they_were_after_an_exception():
    network = SmallNet()
    before = copy.deepcopy(network.state_dict())
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002

    def interrupted():
        with redrawn(network, 987654321):
            random.random(), np.random.rand(), torch.rand(3)  # noqa: NPY002
            raise RuntimeError("in between")

    with pytest.raises(RuntimeError, match="in between"):
        interrupted()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])  # noqa: NPY002


class Odd(nn.Module):
    """A module whose weights a hostile or careless author keeps from being drawn."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.weight = nn.Parameter(torch.randn(50, 40))
        self.kept = self.weight.detach().clone()
        if how == "hidden":
            del self.weight
            self.weight = None
        if how == "buffer":
            del self.weight
            self.register_buffer("weight", self.kept)
        if how != "hidden":
            del self.kept
            self.secret = [self.weight.detach().clone()]

    def reset_parameters(self):
        if self.how == "copy":
            self.weight.copy_(self.secret[0])
        if self.how == "nearly":
            self.weight.copy_(self.secret[0] + 0.05 * torch.randn(50, 40))
        if self.how == "half":
            self.weight[:25].normal_()
        if self.how == "raises":
            raise ValueError("not now")
        if self.how == "sound":
            self.weight.normal_()
        if self.how == "replaces":
            self.weight = nn.Parameter(torch.randn(50, 40))


@pytest.mark.parametrize(
    ("how", "drawn"),
    [("nothing", 0), ("copy", 0), ("nearly", 0), ("half", 1000), ("raises", 0), ("buffer", 0), ("hidden", 0),
     ("sound", 2000), ("replaces", 2000)],
)  # fmt: skip
def test_what_was_not_drawn_is_counted_and_comes_back(how, drawn):
    network = nn.Sequential(nn.Linear(10, 10), Odd(how))
    before = copy.deepcopy(network.state_dict())
    held = network[1].weight
    with redrawn(network, 987654321) as weights:
        inside = network[1].weight if network[1].weight is not None else network[1].kept
        assert not torch.isnan(inside).any()
    assert (weights.values, weights.redrawn) == (110 + 2000, 110 + drawn)
    assert weights.left == (() if drawn == 2000 else ("Odd",))
    assert network[1].weight is held
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_constant_of_the_network_may_stay():
    network = nn.Sequential(nn.Linear(100, 100))
    network.register_buffer("mean", torch.tensor([0.45, 0.5]))
    with redrawn(network, 987654321) as weights:
        assert torch.equal(network.mean, torch.tensor([0.45, 0.5]))
    assert weights.share == 1.0


def test_attention_and_layer_norm_are_drawn_by_their_own_reset():
    network = nn.TransformerEncoderLayer(8, 2, 16)
    with redrawn(network, 987654321) as weights:
        pass
    assert weights.share == 1.0


class PackedLinear(nn.Module):
    """Keeps its weights as torch's quantised modules do: where nobody can count or draw them."""

    def __init__(self):
        super().__init__()
        self._packed_params = object()


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_quantised_and_scripted_modules_are_not_drawn():
    with redrawn(nn.Sequential(nn.Linear(10, 10), PackedLinear()), 987654321) as weights:
        pass
    assert weights.share < 1
    assert weights.left == ("PackedLinear",)
    scripted = torch.jit.script(nn.Sequential(nn.Linear(3, 3)))
    before = copy.deepcopy(scripted.state_dict())
    with redrawn(scripted, 987654321) as weights:
        pass
    assert weights.share == 0
    assert all(torch.equal(value, before[name]) for name, value in scripted.state_dict().items())


def test_what_was_made_in_inference_mode_is_not_drawn():
    with torch.inference_mode():
        network = nn.Linear(20, 20)
    before = network.weight.clone()
    with redrawn(network, 987654321) as weights:
        pass
    assert weights.redrawn < weights.values
    assert torch.equal(network.weight, before)


def test_weight_norm_and_spectral_norm_are_not_drawn():
    for wrapped in (nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)), nn.utils.spectral_norm(nn.Linear(8, 8))):
        before = copy.deepcopy(wrapped.state_dict())
        with redrawn(wrapped, 987654321) as weights:
            pass
        assert weights.share < 1
        assert all(torch.equal(value, before[name]) for name, value in wrapped.state_dict().items())
