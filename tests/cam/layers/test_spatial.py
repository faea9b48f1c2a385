"""Which layer ``auto`` stands for, and which names would do."""

import pytest
import torch
from monai.networks.nets import DenseNet121, resnet18
from torch import nn

from cam import choose_layer, spatial_layers
from cam.layers.spatial import resolve
from tests.cam.networks import conv, images, pool, small


def test_auto_is_the_last_layer_to_finish_with_spatial_extent():
    assert choose_layer(small(2, rectified=True, affine=True), images(2)) == "act"
    assert choose_layer(small(3, rectified=True, affine=False), images(3)) == "tail.1"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (DenseNet121(spatial_dims=2, in_channels=1, out_channels=2), "class_layers.relu"),
        (resnet18(spatial_dims=2, n_input_channels=1, num_classes=2), "layer4"),
    ],
    ids=["densenet121", "resnet18"],
)
def test_auto_finds_the_last_block_of_known_networks(model, expected):
    assert choose_layer(model.eval(), torch.zeros(1, 1, 64, 64)) == expected


def test_the_order_of_calls_counts_and_not_the_order_of_registration():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = conv(2, 2, 2, 1), conv(2, 1, 2, 3)

        def forward(self, x):
            return self.last(self.first(x)).mean((2, 3))

    layers = spatial_layers(Backwards().eval(), torch.zeros(2, 1, 6, 5))
    assert list(layers.items()) == [("first", (4, 3)), ("last", (4, 3))]


def test_layers_called_twice_folded_or_without_extent_are_not_listed():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu, self.conv, self.fold, self.pool = (
                nn.ReLU(),
                conv(2, 1, 2, 1),
                nn.Flatten(0, 1),
                pool(2),
            )

        def forward(self, x):
            hidden = self.relu(self.relu(self.conv(x)))
            self.fold(hidden[:, :, None])
            return self.pool(hidden).flatten(1)

    assert list(spatial_layers(Shared().eval(), torch.zeros(1, 1, 4, 4))) == ["conv"]


def test_a_model_without_spatial_layers_is_refused():
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2)).double().eval()
    with pytest.raises(ValueError, match="layer 'auto' found no layer with spatial extent in Sequential"):
        choose_layer(model, images(2))


def test_a_long_list_of_layers_that_would_do_is_cut_to_the_last():
    model = nn.Sequential(*[nn.Identity() for _ in range(30)], pool(2), nn.Flatten()).eval()
    with pytest.raises(ValueError, match=r"layers that would do: \.\.\., 6, 7, .*, 29$"):
        resolve(model, "30x", images(2))


@pytest.mark.parametrize("function", [choose_layer, spatial_layers])
def test_a_model_in_training_mode_is_refused(function):
    with pytest.raises(ValueError, match="must be in evaluation mode"):
        function(small(2, rectified=True, affine=True).train(), images(2))
