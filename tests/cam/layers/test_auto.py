"""The choice that ``auto`` stands for is remembered by whoever owns the memory, for as long as it holds."""

import gc
import weakref

import pytest
import torch
from torch import nn

from cam import Memory, TokenGrid, choose_layer, explain
from tests.cam.networks import conv, images, small


def counted(model):
    calls = []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    return calls


def test_a_choice_is_made_once_for_a_memory_a_model_and_a_shape():
    model, memory = small(2, rectified=True, affine=True), Memory()
    calls = counted(model)
    assert [choose_layer(model, images(2, seed=seed), memory=memory) for seed in (1, 2)] == ["act", "act"]
    assert choose_layer(model, images(2)[:1], memory=memory) == "act"
    assert len(calls) == 1
    choose_layer(model, images(2)[:, :, 1:], memory=memory)
    assert len(calls) == 2
    choose_layer(model, images(2), {"layer": TokenGrid((4, 4), channels="first")}, memory=memory)
    assert len(calls) == 3
    choose_layer(model, images(2))
    assert len(calls) == 4, "what nobody keeps is not remembered"


def test_explaining_with_a_memory_chooses_once():
    model, memory = small(2, rectified=True, affine=True), Memory()
    calls = counted(model)
    for _ in range(3):
        explain(model, images(2), [1], memory=memory)
    assert len(calls) == 1 + 3


def test_a_choice_is_made_again_when_a_module_is_another():
    model, memory = small(2, rectified=True, affine=True), Memory()
    calls = counted(model)
    choose_layer(model, images(2), memory=memory)
    model.act = nn.Tanh().eval()
    assert choose_layer(model, images(2), memory=memory) == "act"
    assert len(calls) == 2
    model.act = nn.Flatten()
    model.tail = nn.Linear(48, 3).double().eval()
    assert choose_layer(model.eval(), images(2), memory=memory) == "layer"
    assert len(calls) == 3


def test_a_memory_does_not_keep_a_model_alive():
    model, memory = small(2, rectified=True, affine=True), Memory()
    choose_layer(model, images(2), memory=memory)
    assert model in memory
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_models_alike_are_not_mistaken_for_each_other():
    one, other = (nn.Sequential(conv(2, 1, 2, 3), nn.ReLU(), nn.Flatten()).eval() for _ in range(2))
    calls, memory = counted(other), Memory()
    x = torch.zeros(1, 1, 6, 6)
    assert choose_layer(one, x, memory=memory) == choose_layer(other, x, memory=memory) == "1"
    assert len(calls) == 1


class Unrolled(nn.Module):
    """Patches whose tokens are sorted by windows, as Hiera's: the layers behind lie in no grid that shows."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 2, stride=2)
        self.blocks = nn.Sequential(*[nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(4)])
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        tokens = self.patches(x).unflatten(2, (2, 2)).unflatten(4, (2, 2)).permute(0, 2, 4, 3, 5, 1).flatten(1, 4)
        return self.head(self.blocks(tokens).square().mean(1))


def test_a_refusal_names_the_last_layer_whose_cells_are_not_known_and_no_layer_in_front():
    torch.manual_seed(0)
    model, x = Unrolled().eval(), torch.rand(2, 1, 8, 8)
    with pytest.raises(
        ValueError, match=r"'patches' is the last .*; 'blocks' is the last that all of it passes"
    ) as caught:
        choose_layer(model, x)
    assert r"grids={'blocks': TokenGrid(spatial shape)}, or, where they are sorted by windows" in str(caught.value)
    assert "come nearest" not in str(caught.value)
    assert choose_layer(model, x, {"blocks": TokenGrid((4, 4))}) == "blocks"
