"""Every method on the pretended device, 2D and 3D: no fault of devices, the processor's maps, few waits of the host."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

import cam
from cam import METHODS, Memory, Target, explain
from tests.cam.networks import ATTENTIVE_METHODS, vit
from tests.device.pretended import pretended_cuda

ROOTS = [Path(cam.__file__).parent]

FEW_SAMPLES = {
    "rise": {"count": 8},
    "lime": {"samples": 20, "segments": 4},
    "kernel_shap": {"samples": 30, "segments": 4},
    "smoothgrad": {"samples": 2},
    "gradient_shap": {"samples": 2},
    "integrated_gradients": {"steps": 2},
    "sscam": {"samples": 2},
    "iscam": {"steps": 2},
    "smoothgradcampp": {"samples": 2},
}


def network(axes):
    conv, pool = (nn.Conv2d, nn.AdaptiveAvgPool2d) if axes == 2 else (nn.Conv3d, nn.AdaptiveAvgPool3d)
    torch.manual_seed(0)
    layers = [conv(1, 4, 3), nn.ReLU(), conv(4, 6, 3), nn.ReLU(), pool(1), nn.Flatten(), nn.Linear(6, 3)]
    return nn.Sequential(*layers).eval()


def images(axes):
    return torch.rand(2, 1, *[12] * axes, generator=torch.Generator().manual_seed(1))


def request(name, **options):
    options = {**FEW_SAMPLES.get(name, {}), **options}
    layers = ["1", "3"] if METHODS[name].at == "layers" else ["3"]
    return {"methods": [name], "layers": layers, "options": {name: options} if options else {}}


CONVOLUTIONAL = [name for name in METHODS if name not in ATTENTIVE_METHODS]


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_a_method_gives_the_processors_maps(name, axes):
    model, x = network(axes), images(axes)
    here = explain(model, x, [Target(0), Target(2)], **request(name))
    with pretended_cuda(ROOTS) as meter:
        there = explain(copy.deepcopy(model).to("cuda"), x.to("cuda"), [Target(0), Target(2)], **request(name))
        assert not meter.faults
        for key, maps in there:
            assert maps.is_cuda
            torch.testing.assert_close(maps.cpu(), here.maps[key], rtol=1e-4, atol=1e-6)


WAITS = {
    "ablationcam": 6,
    "finercam": 6,
    "fullgrad": 9,
    "eigengradcam": 6,
    "gradient_shap": 7,
    "guided_gradcam": 7,
    "integrated_gradients": 7,
    "kernel_shap": 23,
    "layercam_fusion": 6,
    "lime": 23,
    "refinecam": 6,
    "smoothgrad": 7,
    "smoothgradcampp": 6,
    "sscam": 6,
}
"""The most waits of a call with two targets and two samples; 5 for those that are not named."""


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_the_host_waits_for_few_things_in_a_call(name):
    with pretended_cuda(ROOTS) as meter:
        model, x = network(2).to("cuda"), images(2).to("cuda")
        explain(model, x, [Target(0), Target(2)], **request(name))
        meter.clear()
        explain(model, x, [Target(0), Target(2)], **request(name))
        assert meter.waits() <= WAITS.get(name, 5), meter.table()


@pytest.mark.parametrize("name", [name for name in CONVOLUTIONAL if name not in ("lime", "kernel_shap")])
def test_the_waits_are_a_calls_and_not_a_samples(name):
    numbers = []
    for count in (2, 5):
        with pretended_cuda(ROOTS) as meter:
            model, x = network(2).to("cuda"), images(2)[:1].repeat(count, 1, 1, 1).to("cuda")
            explain(model, x, [Target(0)], **request(name))
            numbers.append(meter.waits())
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("name", ["attention_rollout", "attention_relevance", "legrad", "grad_eclip", "gradcam"])
def test_the_tokens_of_a_transformer_are_measured_once(name):
    with pretended_cuda(ROOTS) as meter:
        model, x, memory = vit((12, 12), (4, 4)).float().to("cuda"), images(2).to("cuda"), Memory()
        layers = {} if name in ATTENTIVE_METHODS else {"layers": ["auto"]}
        explain(model, x, [Target(0)], methods=[name], memory=memory, **layers)
        assert not meter.faults
        meter.clear()
        explain(model, x, [Target(0)], methods=[name], memory=memory, **layers)
        assert not [line for _, line in meter.lines() if "layers/tokens.py" in line]
        assert meter.waits() <= 8, meter.table()
