"""The choice that ``auto`` stands for is remembered for as long as it holds."""

import gc
import weakref

import torch
from torch import nn

from cam import TokenGrid, auto, choose_layer
from tests.cam.networks import conv, images, small


def counted(model):
    calls = []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    return calls


def test_a_choice_is_made_once_for_a_model_and_a_shape():
    model = small(2, rectified=True, affine=True)
    calls = counted(model)
    assert [choose_layer(model, images(2, seed=seed)) for seed in (1, 2)] == ["act", "act"]
    assert choose_layer(model, images(2)[:1]) == "act"
    assert len(calls) == 1
    choose_layer(model, images(2)[:, :, 1:])
    assert len(calls) == 2
    choose_layer(model, images(2), {"layer": TokenGrid((4, 4), channels="first")})
    assert len(calls) == 3


def test_a_choice_is_made_again_when_a_module_is_another():
    model = small(2, rectified=True, affine=True)
    calls = counted(model)
    choose_layer(model, images(2))
    model.act = nn.Tanh().eval()
    assert choose_layer(model, images(2)) == "act"
    assert len(calls) == 2
    model.act = nn.Flatten()
    model.tail = nn.Linear(48, 3).double().eval()
    assert choose_layer(model.eval(), images(2)) == "layer"
    assert len(calls) == 3


def test_a_choice_does_not_keep_a_model_alive():
    model = small(2, rectified=True, affine=True)
    choose_layer(model, images(2))
    assert model in auto._chosen
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_models_alike_are_not_mistaken_for_each_other():
    one, other = (nn.Sequential(conv(2, 1, 2, 3), nn.ReLU(), nn.Flatten()).eval() for _ in range(2))
    calls = counted(other)
    assert choose_layer(one, torch.zeros(1, 1, 6, 6)) == choose_layer(other, torch.zeros(1, 1, 6, 6)) == "1"
    assert len(calls) == 1
