"""The engine of the methods that run the model again: chunks, memory, targets, and nothing left behind."""

import copy
import weakref
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from cam import Region, Target, explain
from cam.capture import capture
from cam.procedures import perturb
from cam.procedures.perturb import default_rows, logits_of, own_scores, rescored
from cam.request import ExplanationRequest
from tests.cam.networks import conv, images, small
from tests.cam.test_capture import furnished, state_of

RESCORING = ("scorecam", "faster_scorecam", "sscam", "iscam", "ablationcam", "reciprocam", "occlusion", "rise")
FEW = {"sscam": {"samples": 3}, "iscam": {"steps": 3}, "rise": {"count": 20, "cells": 2}}


class CountingRows(nn.Module):
    """Counts the rows of every forward; runs out of memory above ``limit`` of them when ``tight``."""

    def __init__(self, model, limit=1000):
        super().__init__()
        self.model, self.limit, self.tight, self.rows, self.refused = model, limit, False, [], 0
        self.eval()

    def forward(self, x):
        self.rows.append(len(x))
        hidden = self.model.layer(self.model.trunk(x))
        if self.tight and len(hidden) > self.limit:
            self.refused += 1
            raise torch.OutOfMemoryError("out of memory on purpose")
        return self.model.tail(self.model.act(hidden))


ONE = (Target(1),)


def asked(model, x, targets=ONE, layers=(), rows=None):
    passed = capture(model, x, layers)
    return ExplanationRequest(model, x, tuple(targets), passed.logits.detach(), tuple(layers), passed, rows)


def brightened(x, samples, number):
    return lambda chunk: x[samples[chunk]] * (1 + number[chunk]).view(-1, *[1] * (x.ndim - 1))


def grid(batch, variants):
    return torch.arange(batch).repeat_interleave(variants), torch.arange(variants).repeat(batch)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("rows", [1, 4, 7, 100])
def test_rows_of_all_samples_fill_the_chunks_and_give_the_scores_one_by_one(axes, rows):
    model, x = CountingRows(small(axes, rectified=True, affine=False)), images(axes)
    targets = [Target([2, 0, 1]), Target(1)]
    request = asked(model, x, targets, rows=rows)
    samples, number = grid(3, 5)
    model.rows.clear()
    found = rescored(request, samples, brightened(x, samples, number))
    assert model.rows == [rows] * (15 // rows) + [15 % rows] * (15 % rows > 0)
    assert found.shape == (2, 15)
    assert not found.requires_grad  # nothing is kept for a backward that nobody runs
    with torch.no_grad():
        for row, (sample, many) in enumerate(zip(samples.tolist(), number.tolist(), strict=True)):
            logits = model(x[sample : sample + 1] * (1 + many))[0]
            torch.testing.assert_close(found[:, row], logits[[(2, 0, 1)[sample], 1]])


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_a_chunk_that_does_not_fit_is_halved_and_the_result_is_the_same(limit):
    model, x = CountingRows(small(2, rectified=True, affine=False), limit), images(2)
    request = asked(model, x, rows=8)
    samples, number = grid(3, 5)
    expected = rescored(request, samples, brightened(x, samples, number))
    model.tight = True
    model.rows.clear()
    before = copy.deepcopy(state_of(model))
    torch.testing.assert_close(rescored(request, samples, brightened(x, samples, number)), expected)
    assert state_of(model) == before
    size = {1: 1, 2: 2, 3: 2, 5: 4}[limit]
    assert [rows for rows in model.rows if rows <= limit] == [size] * (15 // size) + [15 % size] * (15 % size > 0)


@pytest.mark.parametrize("name", RESCORING)
@pytest.mark.parametrize("axes", [2, 3])
def test_every_method_survives_running_out_of_memory_and_leaves_the_model(axes, name):
    model, x = CountingRows(small(axes, rectified=False, affine=False), 3), images(axes)
    model.model.trunk.requires_grad_(False)
    torch.manual_seed(4)
    (_, expected), *_ = explain(model, x, [1], methods=[name], layers=["model.layer"], options=options(name))
    model.tight = True
    before = copy.deepcopy(state_of(model))
    (_, found), *_ = explain(model, x, [1], methods=[name], layers=["model.layer"], options=options(name))
    torch.testing.assert_close(found, expected)
    assert state_of(model) == before
    assert model.refused


def options(name):
    return {name: FEW[name]} if name in FEW else {}


@pytest.mark.parametrize("name", RESCORING)
def test_memory_for_not_even_one_row_is_an_error_that_leaves_the_model(name):
    model, x = furnished(), images(2)
    breaking = BreakingMethod(model)
    before = copy.deepcopy(state_of(breaking))
    with pytest.raises(torch.OutOfMemoryError, match="on purpose"):
        explain(breaking, x, [1], methods=[name], layers=["model.layer"], options=options(name))
    assert state_of(breaking) == before


class BreakingMethod(nn.Module):
    """Answers once; from then on the tail finds no memory."""

    def __init__(self, model):
        super().__init__()
        self.model, self.calls = model.eval(), 0
        self.training = False

    def forward(self, x):
        self.calls += 1
        hidden = self.model.layer(self.model.trunk(x))
        if self.calls > 1:
            raise torch.OutOfMemoryError("out of memory on purpose")
        return self.model.tail(self.model.act(hidden))


def test_a_chunks_inputs_are_gone_before_the_next_are_built():
    model, x = small(2, rectified=True, affine=False), images(2)
    built = []

    def build(chunk):
        assert all(one() is None for one in built)
        rows = x[torch.zeros(chunk.stop - chunk.start, dtype=torch.long)]
        built.append(weakref.ref(rows))
        return rows

    rescored(asked(model, x, rows=2), torch.zeros(9, dtype=torch.long), build)
    assert len(built) == 5


class Waits(TorchDispatchMode):
    """Counts the places where the processor would wait for a device."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", RESCORING)
def test_how_often_the_processor_waits_does_not_grow_with_the_number_of_chunks(name):
    model, x = small(2, rectified=False, affine=False), images(2)
    explain(model, x, [1], methods=[name], layers=["layer"], options=options(name))  # is the tail affine? remembered
    counts = []
    for rows in (3, 64):
        with Waits() as waits:
            explain(model, x, [1, 2], methods=[name], layers=["layer"], options=options(name), rows=rows)
        counts.append(waits.count)
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", RESCORING)
@pytest.mark.parametrize("affine", [False, True])
def test_three_targets_need_the_forwards_of_one(name, affine):
    model, x = CountingRows(small(2, rectified=False, affine=affine)), images(2)
    seen = []
    for targets in ([0], [0], list(map(Target, [0, 1, 2]))):
        model.rows.clear()
        explain(model, x, targets, methods=[name], layers=["model.layer"], options=options(name))
        seen.append(list(model.rows))
    assert seen[1] == seen[2]


@pytest.mark.parametrize("name", RESCORING)
@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("affine", [False, True])
def test_neither_the_chunks_nor_the_batch_change_a_map(axes, name, affine):
    model, x = small(axes, rectified=False, affine=affine), images(axes)
    wanted = {"methods": [name], "layers": ["layer"], "options": options(name)}
    (_, whole), *_ = explain(model, x, [Target([2, 0, 1])], **wanted)
    for rows in (1, 4):
        (_, found), *_ = explain(model, x, [Target([2, 0, 1])], rows=rows, **wanted)
        torch.testing.assert_close(found, whole)
    for sample, label in enumerate([2, 0, 1]):
        (_, alone), *_ = explain(model, x[[sample]], [label], **wanted)
        torch.testing.assert_close(alone, whole[[sample]])


@pytest.mark.parametrize("name", RESCORING)
@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode], ids=lambda one: one.__name__)
def test_every_method_works_where_gradients_are_off(name, around):
    model, x = small(2, rectified=False, affine=True), images(2)
    wanted = {"methods": [name], "layers": ["layer", "trunk"], "options": options(name)}
    expected = explain(model, x, [1], **wanted)
    with around():
        found = explain(model.double(), x.clone(), [1], **wanted)
    for key, maps in expected:
        torch.testing.assert_close(found.maps[key].clone(), maps)


@pytest.mark.parametrize("name", RESCORING)
@pytest.mark.parametrize("affine", [False, True])
def test_under_autocast_the_maps_are_float32_and_close(name, affine):
    model, x = small(2, rectified=True, affine=affine).float(), images(2).float()
    wanted = {"methods": [name], "layers": ["layer"], "options": options(name)}
    (_, expected), *_ = explain(model, x, [1], **wanted)
    with torch.autocast("cpu", torch.bfloat16):
        (_, found), *_ = explain(model, x, [1], **wanted)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0.1 * float(expected.abs().max()))


@pytest.mark.parametrize("name", RESCORING)
@pytest.mark.parametrize("around", [nullcontext, torch.enable_grad], ids=lambda one: one.__name__)
def test_every_method_leaves_the_model_and_the_random_numbers(name, around):
    model, x = furnished(), images(2)
    with around():
        before = copy.deepcopy(state_of(model))
        ((_, maps),) = explain(model, x, [1], methods=[name], layers=["layer"], options=options(name))
        assert state_of(model) == before
    assert not maps.requires_grad


class Voxelwise(nn.Module):
    """A segmentation network."""

    def __init__(self, axes):
        super().__init__()
        self.layer, self.act, self.end = conv(axes, 1, 3, 3, padding=1), nn.ReLU(), conv(axes, 3, 2, 1)

    def forward(self, x):
        return self.end(self.act(self.layer(x)))


@pytest.mark.parametrize("axes", [2, 3])
def test_a_region_of_a_segmentation_network_is_scored_chunk_by_chunk(axes):
    torch.manual_seed(0)
    model, x = Voxelwise(axes).double().eval(), images(axes)
    mask = (images(axes, seed=7)[:, 0] > 0).double()
    request = asked(model, x, [Region([1, 0, 1], mask)], rows=4)
    samples, number = grid(3, 5)
    build = brightened(x, samples, number)
    found = rescored(request, samples, build)
    with torch.no_grad():
        for row, (sample, label) in enumerate(zip(samples.tolist(), [1] * 5 + [0] * 5 + [1] * 5, strict=True)):
            logits = model(build(slice(row, row + 1)))
            torch.testing.assert_close(found[0, row], (logits[0, label] * mask[sample]).sum())
    assert [len(one) for one in logits_of(request, samples, build)] == [4, 4, 4, 3]


def test_own_scores_are_those_of_the_inputs_as_they_are():
    model, x = small(2, rectified=True, affine=True), images(2)
    found = own_scores(asked(model, x, [Target([2, 0, 1]), Target(1)]))
    logits = model(x).detach()
    torch.testing.assert_close(found, torch.stack([logits[(0, 1, 2), (2, 0, 1)], logits[:, 1]]))


def test_the_default_number_of_rows_follows_the_size_and_the_free_memory(monkeypatch):
    processor = torch.device("cpu")
    assert default_rows(64 * 64, processor) == 64
    assert default_rows(96**3, processor) == 9
    assert default_rows(400**3, processor) == 1
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (8 * 2**30, 16 * 2**30))
    device = torch.device("cuda", 0)
    assert default_rows(64 * 64, device) == perturb._GPU_ROWS
    assert default_rows(96**3, device) == 8 * 2**30 // (4 * 96**3 * 256)
    assert default_rows(600**3, device) == 1
