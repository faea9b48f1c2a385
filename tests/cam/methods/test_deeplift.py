"""DeepLIFT: captum's maps, the sum to the score's change, and what captum's hooks cannot see."""

import pytest
import torch
from captum.attr import DeepLift
from torch import nn
from torch.nn import functional

from cam import Similarity, explain
from tests.cam.networks import KINDS, conv, images, pool


def mapped(model, x, method="deeplift", target=1, **options):
    found = explain(model.eval(), x, target=target, methods=method, options={method: options})
    return found[method, "input"]


def pooled(axes):
    """Every pooling, two activations and a batch normalisation, as modules: what captum can follow."""
    torch.manual_seed(3)
    norm, most = {2: (nn.BatchNorm2d, nn.MaxPool2d), 3: (nn.BatchNorm3d, nn.MaxPool3d)}[axes]
    layers = [conv(axes, 1, 3, 2), norm(3), nn.ReLU(), most(2, 2), conv(axes, 3, 4, 1), nn.Sigmoid()]
    model = nn.Sequential(*layers, pool(axes), nn.Flatten(), nn.Linear(4, 3)).double()
    model[1].running_var.uniform_(0.5, 2)
    return model.eval()


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
@pytest.mark.parametrize("axes", [2, 3])
def test_captum_gives_the_same_map(axes):
    model, x = pooled(axes), images(axes)
    expected = DeepLift(pooled(axes)).attribute(x.clone().requires_grad_(), baselines=0.3, target=1).sum(1)
    torch.testing.assert_close(mapped(model, x, baseline=0.3), expected.detach())


@pytest.mark.parametrize("stride", [1, 2])
def test_the_map_sums_to_the_scores_change_where_windows_of_a_maximum_overlap(stride):
    model, x = nn.Sequential(nn.MaxPool2d(3, stride), nn.Tanh(), nn.Flatten(), nn.LazyLinear(2)).double(), images(2)
    model(x)
    change = (model(x) - model(torch.full_like(x, 0.2)))[:, 1]
    torch.testing.assert_close(mapped(model, x, baseline=0.2).flatten(1).sum(1), change.detach())


class Twice(nn.Module):
    """One ReLU module for two layers, and a function: captum refuses the first and does not see the second."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.Linear(8, 3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.relu(self.second(self.relu(self.first(x))))
        return self.head(functional.elu(x + 1).flatten(1))


def test_a_module_that_is_called_twice_and_a_function_are_as_modules_of_their_own():
    torch.manual_seed(0)
    model, x = Twice().double().eval(), images(2)
    unrolled = nn.Sequential(
        model.first, nn.ReLU(), model.second, nn.ReLU(), Shift(), nn.ELU(), nn.Flatten(), model.head
    )
    torch.testing.assert_close(mapped(model, x), mapped(unrolled, x))
    torch.testing.assert_close(mapped(model, x).flatten(1).sum(1), (model(x) - model(0 * x))[:, 1].detach())


class Shift(nn.Module):
    def forward(self, x):
        x += 1
        return x


def test_a_value_equal_to_the_references_takes_the_derivative():
    model = nn.Sequential(nn.Softplus(), nn.Flatten(), nn.Linear(4, 2)).double()
    x = torch.tensor([[[[0.5, 0.5], [0.5, 1.0]]]], dtype=torch.float64)
    found = mapped(model, x, baseline=0.5)[0]
    assert not found.flatten()[:3].any()
    change = functional.softplus(x[0, 0, 1, 1]) - functional.softplus(x[0, 0, 0, 0])
    torch.testing.assert_close(found[1, 1], model[2].weight[1, 3].detach() * change)


def test_a_unit_that_does_not_differ_hands_on_by_its_derivative():
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 1, bias=False), nn.Softplus(), nn.Linear(1, 2)).double()
    with torch.no_grad():
        model[1].weight[:] = torch.tensor([[1.0, -1.0]])
        model[3].weight[:] = torch.tensor([[0.0], [4.0]])
    x = torch.full((1, 1, 1, 2), 3.0, dtype=torch.float64)  # the unit is 0 of the image and of the reference
    torch.testing.assert_close(mapped(model, x), torch.tensor([[[6.0, -6.0]]], dtype=torch.float64))


def test_a_maximum_that_the_reference_has_elsewhere_is_taken_from_that_place():
    model = nn.Sequential(nn.MaxPool2d((1, 2)), nn.Flatten(), nn.Linear(1, 2)).double()
    x = torch.tensor([[[[0.0, 1.0]]]], dtype=torch.float64)
    baselines = torch.tensor([[[[3.0, 0.0]]]], dtype=torch.float64)
    expected = torch.tensor([[[-2.0, 0.0]]], dtype=torch.float64) * model[2].weight[1, 0].detach()
    torch.testing.assert_close(mapped(model, x, "deeplift_shap", baselines=baselines), expected)


def test_several_references_are_the_mean_of_each():
    model, x = KINDS["nonaffine-rectified"](2), images(2)
    baselines = torch.stack([torch.full((1, 6, 6), height).double() for height in (0.0, 0.4)])
    expected = (mapped(model, x) + mapped(model, x, baseline=0.4)) / 2
    torch.testing.assert_close(mapped(model, x, "deeplift_shap", baselines=baselines), expected)
    one = mapped(model, x, "deeplift_shap", heights=1)
    middle = torch.stack([mapped(model, x[[n]], baseline=float(x[n].min() + x[n].max()) / 2)[0] for n in range(3)])
    torch.testing.assert_close(one, middle)


@pytest.mark.parametrize(("options", "message"), [
    ({"heights": 0}, "deeplift_shap.heights must be at least 1, not 0"),
    ({"baselines": torch.zeros(2, 1, 5, 5)}, r"must have shape \(N, 1, 6, 6\), not \(2, 1, 5, 5\)"),
    ({"baselines": torch.zeros(0, 1, 6, 6)}, r"must have shape \(N, 1, 6, 6\), not \(0, 1, 6, 6\)"),
])  # fmt: skip
def test_wrong_references_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        mapped(KINDS["affine-signed"](2), images(2), "deeplift_shap", **options)


class Gate(nn.Module):
    def forward(self, x):
        return (x * x.sigmoid()).flatten(1)


def test_what_has_no_rule_is_refused_by_its_name():
    with pytest.raises(ValueError, match=r"'mul' of two values that both depend on the image \(a gate\)"):
        mapped(Gate(), images(2))
    with pytest.raises(ValueError, match="method 'deeplift' has no rule for 'softmax', which is used in '0'"):
        mapped(nn.Sequential(nn.Softmax(2), nn.Flatten(), nn.Linear(36, 2)).double(), images(2))
    with pytest.raises(ValueError, match=r"method 'deeplift' misses .* the target is no weighted sum of logits"):
        mapped(KINDS["affine-signed"](2), images(2), target=Similarity(torch.ones(3).double()))
