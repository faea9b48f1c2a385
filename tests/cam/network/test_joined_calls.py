"""Methods that run the network again, on the sum of a layer's calls: exactly the sum of the maps of each call."""

import pytest
import torch
from torch import nn

from cam import explain
from tests.cam.layers.test_calls import TwoViews, sliced, views
from tests.cam.networks import images

RERUN = ["ablationcam", "reciprocam"]
CALLS = ["features#0", "features#1"]


class Sum(TwoViews):
    """Two views whose pooled features are added up, or multiplied: affine in both together, or in each alone."""

    def __init__(self, axes, join):
        super().__init__(axes)
        self.join, self.head = join, nn.Linear(4, 3)

    def forward(self, x):
        first, second = (self.pool(self.features(x[:, [view]])) for view in (0, 1))
        return self.head(self.join(first, second))


KINDS = {
    "neither": TwoViews,
    "affine": lambda axes: Sum(axes, torch.add),
    "affine in each alone": lambda axes: Sum(axes, torch.mul),
}


def made(kind, axes=2, batch=2):
    torch.manual_seed(0)
    x = torch.cat([images(axes, batch=batch), images(axes, batch=batch, seed=5)], dim=1)
    return KINDS[kind](axes).double().eval(), x


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", RERUN)
def test_the_map_of_the_sum_is_the_sum_of_the_maps(method, kind, axes):
    model, x = made(kind, axes)
    found = explain(model, x, target=1, methods=method, layers=[*CALLS, "features#sum"], rectify=False)
    both = sum(found.maps[method, name, 1] for name in CALLS)
    torch.testing.assert_close(found.maps[method, "features#sum", 1], both)
    assert bool(both.any())


@pytest.mark.parametrize("kind", ["affine", "affine in each alone"])
def test_no_forward_is_run_where_the_tail_is_affine_in_each_call(kind):
    model, x = made(kind)
    forwards = []
    model.register_forward_pre_hook(lambda *_: forwards.append(1))
    found = explain(model, x, target=1, methods=RERUN, layers="features#sum")
    assert len(forwards) == 1
    assert found.notes["ablationcam", "features#sum"].startswith("affine tail")


@pytest.mark.parametrize("kind", ["affine", "affine in each alone"])
def test_cam_of_the_sum_is_the_sum_of_the_cams(kind):
    model, x = made(kind)
    found = explain(model, x, target=1, methods=["cam", "hirescam"], layers=[*CALLS, "features#sum"])
    torch.testing.assert_close(found.maps["cam", "features#sum", 1], sum(found.maps["cam", name, 1] for name in CALLS))
    hirescam = found.maps["hirescam", "features#sum", 1]
    torch.testing.assert_close(found.maps["cam", "features#sum", 1], hirescam * hirescam[0].numel())


def test_cam_of_a_sum_that_is_not_affine_is_refused_with_what_does():
    model, x = made("neither")
    with pytest.raises(ValueError, match=r"at layer 'features#sum' .*: use 'hirescam' or 'gradcam'"):
        explain(model, x, target=1, methods="cam", layers="features#sum")


def test_an_operation_that_is_not_known_is_tried_call_by_call():
    """The record does not tell of cumsum, which is linear; of cumprod neither, which is not."""
    model, x = made("affine")
    for join, affine in ((lambda a, b: a.cumsum(1) * b, True), (lambda a, b: a.cumprod(1) + b, False)):
        model.join = join
        found = explain(model, x, target=1, methods="ablationcam", layers="features#sum")
        assert found.notes["ablationcam", "features#sum"].startswith("affine tail") == affine


@pytest.mark.parametrize("method", RERUN)
def test_slices_in_a_loop_are_changed_together(method):
    """As those in a row: one channel of the whole volume, one cell of it."""
    loop, x, grids = sliced(1, "a loop")
    row, _, _ = sliced(1, "rows by sample")
    maps = [explain(model, x, target=1, methods=method, layers="features", grids=grids) for model in (loop, row)]
    torch.testing.assert_close(maps[0][method].clone(), maps[1][method].clone())


def test_a_product_of_slices_is_not_affine_in_them_together():
    model, x, _ = sliced(0, "a loop")
    model.forward = lambda x: model.head(
        torch.stack([model.features(x[:, :, place]).flatten(2).mean(2) for place in range(3)]).prod(0)
    )
    found = explain(model, x, target=1, methods="ablationcam", layers="features")
    assert not found.notes["ablationcam", "features"].startswith("affine tail")


def test_a_third_call_is_part_of_the_sum():
    model, x = views(2)
    with pytest.raises(ValueError, match="'features' is called 2 times, numbered from 0"):
        explain(model, x, target=1, methods="ablationcam", layers="features#2")
