"""The tail run on from a layer: the same logits as full forwards, whichever way they are got."""

import copy
import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.networks.nets import DenseNet, UNet
from torch import nn

from cam import Memory, Region, Target, explain
from cam.network import last_layers as tails
from cam.network.affine import affine_by_record
from cam.network.last_layers import is_affine, tail
from tests.cam.networks import CONVOLUTIONAL, KINDS, conv, encoder, images, pool, small
from tests.cam.procedures.test_perturb import CountingRows, asked
from tests.cam.test_capture import state_of
from tests.oracles import by_oracle


class Skipping(nn.Module):
    """A skip connection bypasses ``layer``: added, concatenated, or through a size that the batch decides."""

    def __init__(self, axes, kind):
        super().__init__()
        self.kind = kind
        self.first, self.layer = conv(axes, 1, 3, 3, padding=1), conv(axes, 3, 3, 3, padding=1)
        self.empty, self.act = nn.Identity(), nn.ReLU(inplace=True)
        self.last = conv(axes, 6 if kind == "concatenated" else 3, 2, 3)
        self.end = nn.Sequential(nn.ReLU(), pool(axes), nn.Flatten(), nn.Linear(2, 3))

    def forward(self, x):
        before = self.first(x)
        hidden = self.empty(self.act(self.layer(before)))
        if self.kind == "concatenated":
            hidden = torch.cat([hidden, before], dim=1)
        elif self.kind == "batch":
            hidden = hidden.view(x.shape[0], -1).view_as(before) + before
        elif self.kind == "depends on data":
            hidden = hidden + before if x.sum() > -1e9 else hidden
        else:
            hidden = hidden + before
        if self.kind == "overwritten":
            hidden = hidden - before.relu_()
        return self.end(self.last(hidden))


def skipping(axes, kind):
    torch.manual_seed(5)
    return Skipping(axes, kind).double().eval()


WAYS = [
    ("added", 3, "tail exported"),
    ("added", 1, "tail resumed"),
    ("concatenated", 3, "tail exported"),
    ("concatenated", 1, "tail exported"),
    ("batch", 3, "tail exported"),
    ("depends on data", 3, "full forwards: torch.export refused"),
    ("overwritten", 3, "full forwards: the exported tail disagreed"),
]


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize(("kind", "batch", "note"), WAYS)
def test_past_a_skip_connection_each_way_gives_the_oracles_maps_and_is_named(axes, kind, batch, note):
    model, x, labels = skipping(axes, kind), images(axes, batch=batch), [2, 0, 1][:batch]
    before = copy.deepcopy(state_of(model))
    found = explain(model, x, [Target(labels)], methods=["ablationcam", "reciprocam"], layers=["layer"])
    assert state_of(model) == before
    for name in ("ablationcam", "reciprocam"):
        assert found.notes[name, "layer"].split("; y is")[0] == note
        expected = by_oracle(name, model, x, labels)
        np.testing.assert_allclose(found[name, "layer"], expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("layer", ["empty", "act", "first"])
def test_a_layer_that_computes_nothing_and_one_that_works_in_place_are_cut_too(layer):
    model, x = skipping(2, "concatenated"), images(2)
    found = explain(model, x, [1], methods=["ablationcam"], layers=[layer])
    assert found.notes["ablationcam", layer].startswith("tail resumed" if layer == "first" else "tail exported")
    expected = by_oracle("ablationcam", model, x, [1, 1, 1], layers=[layer])
    np.testing.assert_allclose(found["ablationcam", layer], expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("layer", ["features.denseblock1.denselayer1.layers.conv1", "features.denseblock2"])
def test_the_tail_of_a_densenet_gives_the_logits_of_full_forwards(axes, layer):
    torch.manual_seed(0)
    model = DenseNet(axes, 1, 3, init_features=4, growth_rate=2, block_config=(2, 2)).double().eval()
    x = torch.randn(2, 1, *[16] * axes, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = compared(asked(model, x, [Target(1)], [layer]))
    assert found.note == ("tail exported" if "conv1" in layer else "tail resumed")


@pytest.mark.parametrize("axes", [2, 3])
def test_the_tail_of_a_segmentation_network_goes_round_its_skips(axes):
    torch.manual_seed(0)
    model = UNet(axes, 1, 2, channels=(2, 4, 8), strides=(2, 2)).double().eval()
    x = torch.randn(2, 1, *[8] * axes, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    target = Region(1, torch.ones(2, *[8] * axes, dtype=torch.float64))
    found = compared(asked(model, x, [target], ["model.1.submodule.1.submodule"]))
    assert found.note == "tail exported"


def compared(request):
    """Return the tail, having compared its scores with full forwards for random activations of all samples."""
    activation = request.capture.activations[request.layer].detach()
    samples = torch.tensor([0, 1, 1, 0, 0, 1, 1])
    changed = torch.randn(7, *activation.shape[1:], generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = tail(request)
    expected = tails._whole(request).rescored(request, samples, lambda chunk: changed[chunk].clone())
    torch.testing.assert_close(found.rescored(request, samples, lambda chunk: changed[chunk].clone()), expected)
    return found


def test_the_resumed_trunk_sees_one_image_and_the_tail_all_rows():
    model, x = CountingRows(small(2, rectified=False, affine=False)), images(2)
    ran = []
    with model.model.tail.register_forward_pre_hook(lambda _module, inputs: ran.append(len(inputs[0]))):
        explain(model, x, [1], methods=["reciprocam"], layers=["model.layer"])
        model.rows.clear()
        ran.clear()
        explain(model, x, [1], methods=["reciprocam"], layers=["model.layer"])
    # the image; the trial, whole and resumed; the positions of all three samples
    assert model.rows == [3, 6, 1, 1]
    assert ran == [3, 6, 6, 48]


def test_a_resumed_tail_takes_more_rows_together_than_full_forwards():
    torch.manual_seed(0)
    layers = [conv(2, 1, 300, 3), nn.ReLU(), conv(2, 300, 1, 1), nn.ReLU(), pool(2), nn.Flatten(), nn.Linear(1, 2)]
    model, x, rows = nn.Sequential(*layers).double().eval(), images(2), []
    explain(model, x, [1], methods=["ablationcam"], layers=["0"])
    with model[3].register_forward_pre_hook(lambda _module, inputs: rows.append(len(inputs[0]))):
        explain(model, x, [1], methods=["ablationcam"], layers=["0"])
    assert rows == [3, 6, 6, *[256] * 3, 3 * 300 - 3 * 256]


def test_the_exported_trunk_runs_once_for_each_sample():
    model, x = skipping(2, "concatenated"), images(2)
    memory = Memory()
    explain(model, x, [1], methods=["ablationcam"], layers=["layer"], memory=memory)
    rows = []
    with model.first.register_forward_pre_hook(lambda _module, inputs: rows.append(len(inputs[0]))):
        explain(model, x, [1], methods=["ablationcam"], layers=["layer"], rows=2, memory=memory)
    assert rows == [3, 2, 2, 2, 1]  # the image, the trial in full, and one image resumed in vain


def exports(monkeypatch):
    counted, export = [], torch.export.export
    monkeypatch.setattr(torch.export, "export", lambda *all_, **named: counted.append(1) or export(*all_, **named))
    return counted


def test_a_model_is_exported_once_until_it_changes(monkeypatch):
    counted, model, x, memory = exports(monkeypatch), skipping(2, "concatenated"), images(2), Memory()

    def maps():
        methods = ["ablationcam", "reciprocam"]
        return explain(model, x, [1], methods=methods, layers=["layer"], memory=memory).maps

    maps(), maps()
    assert len(counted) == 1
    with torch.no_grad():
        model.last.weight.mul_(-2)
    np.testing.assert_allclose(
        maps()["ablationcam", "layer", 1], by_oracle("ablationcam", model, x, [1, 1, 1]), rtol=1e-7, atol=1e-10
    )
    assert len(counted) == 2


def test_what_is_remembered_of_a_model_does_not_keep_it():
    for make in (lambda: skipping(2, "concatenated"), lambda: unknown(small(2, rectified=False, affine=True))):
        model, memory = make(), Memory()
        explain(model, images(2), [1], methods=["ablationcam"], layers=["layer"], memory=memory)
        gone = weakref.ref(model)
        assert model in memory
        del model
        gc.collect()
        assert gone() is None


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("kind", CONVOLUTIONAL)
@pytest.mark.parametrize("double", [True, False], ids=["float64", "float32"])
def test_a_tail_is_known_to_be_affine_by_trial(axes, kind, double):
    model, x = KINDS[kind](axes), images(axes)
    model, x = (model, x) if double else (model.float(), x.float())
    assert is_affine(asked(model, x, layers=["layer"])) == (kind in {"affine-signed", "affine-rectified"})
    assert is_affine(asked(model, x, layers=["layer.0"])) == (kind == "affine-signed")


def test_an_affine_tail_is_known_in_half_precision():
    for affine in (True, False):
        model, x = small(2, rectified=True, affine=affine).float(), images(2).float()
        with torch.autocast("cpu", torch.bfloat16):
            assert is_affine(asked(model, x, layers=["layer"])) == affine


@pytest.mark.parametrize("tried", [False, True])
def test_a_rectifier_that_the_activation_does_not_cross_is_found(tried):
    model = small(2, rectified=False, affine=True)
    model.tail = nn.Sequential(Shifted(3.0, tried=tried), *model.tail).eval()
    x = images(2)
    peak = float(asked(model, x, layers=["layer"]).A.abs().amax())
    assert peak < 3
    assert not is_affine(asked(model, x, layers=["layer"]))


class Shifted(nn.Module):
    def __init__(self, by, *, tried):
        super().__init__()
        self.by, self.rectifier = by, ApplyPower(1, rectified=True) if tried else nn.ReLU()

    def forward(self, x):
        return self.rectifier(x + self.by)


class CubingLayer(nn.Module):
    def forward(self, x):
        return x**3


@pytest.mark.parametrize("tried", [False, True])
def test_a_tail_that_is_odd_but_not_affine_is_found(tried):
    model = small(2, rectified=False, affine=True)
    model.layer = nn.Sequential(model.layer, Nothing()).eval()
    model.tail = nn.Sequential(ApplyPower(3, rectified=False) if tried else CubingLayer(), *model.tail).eval()
    assert not is_affine(asked(model, images(2), layers=["layer"]))


class Nothing(nn.Module):
    def forward(self, x):
        return x * 0


@pytest.mark.parametrize("tried", [False, True])
@pytest.mark.parametrize("rectified", [False, True])
def test_a_dead_layer_is_tried_all_the_same(rectified, tried):
    model = small(2, rectified=False, affine=True)
    model.layer = nn.Sequential(model.layer, Nothing()).eval()
    rectifier = (ApplyPower(1, rectified=True) if tried else nn.ReLU()) if rectified else nn.Identity()
    model.tail = nn.Sequential(rectifier, *model.tail).eval()
    assert is_affine(asked(model, images(2), layers=["layer"])) != rectified


class Unheard(torch.autograd.Function):
    """An operation that no record can tell anything of: twice its input."""

    @staticmethod
    def forward(_context, x):
        return 2 * x

    @staticmethod
    def backward(_context, gradient):
        return 2 * gradient


class Apply(nn.Module):
    def forward(self, x):
        return Unheard.apply(x)


class UnheardPower(torch.autograd.Function):
    """A power of the positive part, or of all, which no record can tell anything of."""

    @staticmethod
    def forward(context, x, power, rectified):
        context.save_for_backward(x)
        context.power, context.rectified = power, rectified
        return (x.relu() if rectified else x) ** power

    @staticmethod
    def backward(context, gradient):
        (x,) = context.saved_tensors
        slope = context.power * (x.relu() if context.rectified else x) ** (context.power - 1)
        return gradient * (torch.where(x > 0, slope, 0) if context.rectified else slope), None, None


class ApplyPower(nn.Module):
    def __init__(self, power, rectified):
        super().__init__()
        self.power, self.rectified = power, rectified

    def forward(self, x):
        return UnheardPower.apply(x, self.power, self.rectified)


def unknown(model):
    """The same network behind an operation that is not known, so that the tail has to be tried."""
    model.tail = nn.Sequential(Apply(), *model.tail).eval()
    return model


def test_a_tail_of_known_operations_is_judged_without_a_forward():
    for affine in (True, False):
        model, x = CountingRows(small(2, rectified=False, affine=affine)), images(2)
        request = asked(model, x, layers=["model.layer"])
        model.rows.clear()
        assert is_affine(request) == affine
        assert model.rows == []


def test_a_tail_of_an_unknown_operation_is_tried_once_until_something_changes():
    model, x, memory = CountingRows(unknown(small(2, rectified=False, affine=True))), images(2), Memory()

    def forwards(layer="model.layer", image=x):
        request = replace(asked(model, image, layers=[layer]), memory=memory)
        model.rows.clear()
        return is_affine(request), sum(model.rows)

    assert forwards() == (True, 27)
    assert forwards() == (True, 0)
    assert forwards("model.trunk") == (True, 27)
    assert forwards(image=torch.cat([x, x], dim=2)) == (True, 27)
    with torch.no_grad():
        model.model.tail[3].weight.zero_()
    assert forwards() == (True, 27)
    model.model.tail[3].weight = nn.Parameter(torch.ones_like(model.model.tail[3].weight))
    assert forwards() == (True, 27)


def pooled(axes, side, unheard):
    """Pooling, then a rectifier that most images cross and noise from cell to cell does not."""
    torch.manual_seed(1)
    first = nn.Sequential(conv(axes, 1, 8, 3, padding=1), nn.ReLU())
    head = [nn.Linear(8, 8), ApplyPower(1, rectified=True) if unheard else nn.ReLU(), nn.Linear(8, 3)]
    model = nn.Sequential(first, nn.Identity(), pool(axes), nn.Flatten(), *head).eval().double()
    with torch.no_grad():
        head[0].bias.fill_(10.0)
    return model, torch.rand(2, 1, *[side] * axes).double()


@pytest.mark.parametrize("unheard", [False, True], ids=["by record", "by trial"])
@pytest.mark.parametrize(("axes", "side"), [(2, 64), (2, 128), (3, 16), (3, 24)])
def test_a_rectifier_behind_the_pooling_of_a_fine_grid_is_found(axes, side, unheard):
    model, x = pooled(axes, side, unheard)
    assert not is_affine(asked(model, x, layers=["0"]))
    with pytest.raises(ValueError, match="'cam' needs a layer that only pooling by the mean and one linear layer"):
        explain(model, x, [1], methods=["cam"], layers=["0"])


POOLINGS = {
    "mean": (lambda cells: cells.mean(2), True),
    "cumulative mean": (lambda cells: cells.cumsum(2).mean(2), True),
    "generalised mean": (lambda cells: (cells.clamp(min=1e-6) ** 3).mean(2) ** (1 / 3), False),
    "largest": (lambda cells: cells.amax(2), False),
    "softmax": (lambda cells: (cells.softmax(2) * cells).sum(2), False),
    "log of the sum of exponentials": (lambda cells: cells.logsumexp(2), False),
    "mean of the five largest": (lambda cells: cells.topk(5, 2).values.mean(2), False),
    "median": (lambda cells: cells.median(2).values, False),
    "standard deviation": (lambda cells: cells.std(2), False),
    "unit length": (lambda cells: nn.functional.normalize(cells.mean(2)), False),
    "square": (lambda cells: cells.mean(2) ** 2, False),
}


@pytest.mark.parametrize("heard", [True, False], ids=["by record", "by trial"])
@pytest.mark.parametrize("shape", [(512, 512), (7, 113), (32, 32, 32)], ids=str)
@pytest.mark.parametrize("kind", POOLINGS)
def test_poolings_of_fine_and_odd_grids_are_judged_right(kind, shape, heard, monkeypatch):
    pooling, affine = POOLINGS[kind]
    torch.manual_seed(1)
    model = nn.Sequential(conv(len(shape), 1, 4, 1), nn.Flatten(2), Pooling(pooling), nn.Linear(4, 3)).eval()
    request = asked(model, torch.rand(1, 1, *shape), layers=["0"])
    if not heard:
        monkeypatch.setattr(tails, "affine_by_record", lambda *_: None)
    assert is_affine(request) == affine


class Pooling(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, cells):
        return self.function(cells)


class FunctionTail(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.layer, self.function = conv(2, 1, 3, 3), function

    def forward(self, x):
        return self.function(self.layer(x))


TAILS = {
    "a sum of two readings": (lambda A: A.mean((2, 3)) + A[..., 0, 0], True),
    "batch normalisation by running statistics": (lambda A: nn.BatchNorm2d(3).double().eval()(A).mean((2, 3)), True),
    "batch normalisation by the batch": (
        lambda A: nn.BatchNorm2d(3, track_running_stats=False).double()(A).mean((2, 3)),
        False,
    ),
    "a product of two readings": (lambda A: A.mean((2, 3)) * A.amax((2, 3)).detach() * A.mean((2, 3)), False),
    "one weighted by the other": (lambda A: (A * A[:, :1].sigmoid()).mean((2, 3)), False),
    "divided by a constant": (lambda A: A.mean((2, 3)) / 3, True),
    "divided by itself": (lambda A: A.mean((2, 3)) / A.sum((1, 2, 3))[:, None], False),
    "a constant divided by it": (lambda A: 3 / A.mean((2, 3)), False),
    "the largest cell": (lambda A: A.amax((2, 3)), False),
}


@pytest.mark.parametrize("kind", TAILS)
def test_the_record_tells_an_affine_tail(kind):
    function, affine = TAILS[kind]
    torch.manual_seed(0)
    request = asked(FunctionTail(function).double().eval(), images(2), layers=["layer"])
    assert affine_by_record(request.capture.logits, request.capture.activations["layer"]) is affine


@pytest.mark.parametrize(("axes", "patch"), [(2, (2, 3)), (3, (2, 2, 5))])
def test_the_layers_of_a_transformer_are_replaced_in_their_own_layout(axes, patch):
    model, x = encoder(patch), images(axes, batch=2)
    for layer, note in (("encoder.layers.0", "tail resumed"), ("encoder.layers.0.linear1", "tail exported")):
        found = explain(model, x, [Target([2, 0])], methods=["ablationcam", "reciprocam"], layers=[layer])
        for name in ("ablationcam", "reciprocam"):
            assert found.notes[name, layer].split("; y is")[0] == note
            (alone,) = (one for key, one in found if key[0] == name)
            whole = tails._whole(request := asked(model, x, [Target([2, 0])], [layer]))
            assert alone.shape[1:] == request.A.shape[2:]
        A = request.A
        cell = torch.zeros_like(A)
        cell[(slice(None), slice(None), *[-1] * axes)] = A[(slice(None), slice(None), *[-1] * axes)]
        scores = whole.rescored(request, torch.arange(2), lambda chunk, cell=cell: cell[chunk])
        torch.testing.assert_close(found["reciprocam", layer][(slice(None), *[-1] * axes)], scores[0])


def test_a_tail_that_fails_on_a_batch_its_trunk_never_saw_is_passed_over():
    model, x = skipping(2, "batch"), images(2)
    assert not tails._agrees(tails._resumed(asked(model, x, layers=["layer"])), *trial(model, x))


def trial(model, x):
    request = asked(model, x, layers=["layer"])
    return request, tails._whole(request).logits(request, *tails._trial(request))


def test_the_trial_shows_two_changes_of_every_sample():
    model, x = small(2, rectified=False, affine=False), images(2)
    request = asked(model, x, layers=["layer"])
    samples, build = tails._trial(request)
    rows = build(slice(0, 6))
    assert samples.tolist() == [0, 1, 2, 0, 1, 2]
    torch.testing.assert_close(rows[:3] + rows[3:], request.A)
    assert not rows[:3, ::2].any()
    assert not rows[3:, 1::2].any()


def test_no_way_is_trusted_that_disagrees_for_one_sample_only():
    model, x = small(2, rectified=False, affine=False), images(2)
    request, expected = trial(model, x)
    whole = tails._whole(request)
    assert tails._agrees(whole, request, expected)
    for row in range(6):
        wrong = expected.clone()
        wrong[row, 1] += 1e-6 * float(expected.abs().max())
        assert not tails._agrees(whole, request, wrong)
    short = tails.Tail(lambda rows, samples: whole.run(rows, samples)[:4], whole.rows, "")
    assert not tails._agrees(short, request, expected)
