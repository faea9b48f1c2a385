import pytest
import torch
from monai.networks.nets import resnet18
from torch import nn

from cam import cell_shift
from tests.cam.networks import KINDS, PATCH, images


def convolutions(dims, kernel, stride, padding, count):
    """Identity-like strided convolutions, whose cells' centres follow from arithmetic alone."""
    kind = {2: nn.Conv2d, 3: nn.Conv3d}[dims]
    layers = [kind(1, 1, kernel, stride, padding, bias=False) for _ in range(count)]
    for layer in layers:
        nn.init.ones_(layer.weight)
    return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(2)).eval()


def centre_by_arithmetic(kernel, stride, padding, count, cell):
    for _ in range(count):
        cell = cell * stride - padding + (kernel - 1) / 2
    return cell


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, 1), (4, 2, 1), (2, 2, 0), (3, 1, 1)])
def test_the_shift_is_what_arithmetic_says(dims, kernel, stride, padding):
    count, size = 2, 32
    model = convolutions(dims, kernel, stride, padding, count)
    x = torch.ones(1, 1, *[size] * dims)
    model(x)
    cells = size // stride**count
    ratio = size / cells
    middles = {(cells - 1) // 2, cells // 2}
    expected = sum(
        centre_by_arithmetic(kernel, stride, padding, count, cell) - ((cell + 0.5) * ratio - 0.5) for cell in middles
    ) / len(middles)
    assert cell_shift(model, str(count - 1), x) == pytest.approx([expected] * dims, abs=1e-4)


def test_where_a_cell_looks_counts_evidence_against_as_much_as_evidence_for():
    layer = nn.Conv2d(1, 1, (1, 3), padding=(0, 1), bias=False)
    layer.weight.data = torch.tensor([[[[1.0, -1.0, 2.0]]]])
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(25, 2)).eval()
    across = (-1 * 1 + 0 * 1 + 1 * 2) / (1 + 1 + 2)
    assert cell_shift(model, "0", torch.ones(1, 1, 5, 5)) == pytest.approx([0, across])


def test_a_resnet_looks_half_a_cell_beside():
    torch.manual_seed(0)
    model = resnet18(spatial_dims=2, n_input_channels=1, num_classes=2, conv1_t_stride=2).eval()
    shift = cell_shift(model, "layer3", torch.rand(1, 1, 128, 128))
    assert all(-0.6 < one / 16 < -0.35 for one in shift)


@pytest.mark.parametrize("axes", [2, 3])
def test_a_token_looks_inside_its_patch(axes):
    model, patch = KINDS["vit"](axes), PATCH[axes]
    shift = cell_shift(model, "network.blocks.0.norm1", images(axes, batch=1))
    assert len(shift) == axes
    assert any(shift)
    assert all(abs(one) < side / 2 for one, side in zip(shift, patch, strict=True))


def test_a_dead_layer_has_no_place():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)).eval()
    nn.init.constant_(model[0].bias, -100.0)
    x = torch.rand(1, 1, 8, 8)
    model(x)
    assert cell_shift(model, "1", x) is None


def test_the_model_is_left_as_it_was():
    model = convolutions(2, 3, 2, 1, 1)
    x = torch.ones(1, 1, 8, 8)
    model(x)
    cell_shift(model, "0", x)
    assert not model[0]._forward_hooks
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not x.requires_grad
