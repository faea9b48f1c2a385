"""What only a CUDA device can show: the same maps there, in half precision, and with a model on two devices."""

import pytest
import torch
from monai.networks.nets import DenseNet121
from torch import nn

from cam import METHODS, Target, explain
from tests.cam.networks import conv, pool

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

FORMULAS = [name for name, one in METHODS.items() if one.is_formula and name != "cam"]


def densenet(axes):
    torch.manual_seed(0)
    return DenseNet121(spatial_dims=axes, in_channels=1, out_channels=3).eval()


def images(axes):
    return torch.rand(2, 1, *[64] * axes, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("axes", [2, 3])
def test_the_device_gives_the_processors_maps(axes):
    methods, layers = [*FORMULAS, "scorecam", "ablationcam"], ["class_layers.relu"]
    model, x = densenet(axes), images(axes)
    here = explain(model, x, [Target(0), Target(2)], methods=methods, layers=layers)
    there = explain(model.cuda(), x.cuda(), [Target(0), Target(2)], methods=methods, layers=layers)
    for key, maps in here:
        assert there.maps[key].device.type == "cuda"
        scale = float(maps.abs().max())
        torch.testing.assert_close(there.maps[key].cpu(), maps, rtol=1e-2, atol=1e-2 * scale, msg=str(key))


@pytest.mark.parametrize("axes", [2, 3])
def test_autocast_and_channels_last_keep_the_maps(axes):
    model, x = densenet(axes).cuda(), images(axes).cuda()
    layout = torch.channels_last if axes == 2 else torch.channels_last_3d
    plain = explain(model, x, [1], methods=["gradcam"], layers=["features.denseblock3"])
    with torch.autocast("cuda", torch.bfloat16):
        cast = explain(
            model.to(memory_format=layout), x.to(memory_format=layout), [1], methods=["gradcam"],
            layers=["features.denseblock3"],
        )  # fmt: skip
    ((_, one),), ((_, other),) = plain, cast
    assert float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]) > 0.98


class TwoDeviceNetwork(nn.Module):
    """Its trunk on one device, its tail on another."""

    def __init__(self, axes, first, second):
        super().__init__()
        self.second = second
        self.trunk = nn.Sequential(conv(axes, 1, 4, 3), nn.ReLU()).to(first)
        self.tail = nn.Sequential(conv(axes, 4, 4, 3), nn.ReLU(), pool(axes), nn.Flatten(), nn.Linear(4, 3)).to(second)

    def forward(self, x):
        return self.tail(self.trunk(x).to(self.second))


@pytest.mark.parametrize("layers", [["trunk"], ["tail.1"], ["trunk", "tail.1"]])
def test_a_model_on_two_devices_is_explained(layers):
    torch.manual_seed(0)
    model, x = TwoDeviceNetwork(3, "cuda", "cpu").eval(), images(3)[..., :16, :16, :16]
    found = explain(model, x.cuda(), [Target(0), Target(1)], methods=FORMULAS, layers=layers)
    model.second = "cpu"
    alone = explain(model.cpu(), x, [Target(0), Target(1)], methods=FORMULAS, layers=layers)
    for key, maps in alone:
        torch.testing.assert_close(found.maps[key].cpu(), maps, rtol=1e-3, atol=1e-5)
