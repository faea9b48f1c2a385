"""Maps that are known to be no evidence of a model, as methods for a test alone, and a bench with planted pictures."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np
import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, adaptive_avg_pool3d

from cam import METHODS
from cam.methods.gradcam import gradcam
from cam.registry import Method
from cam.request import RawMaps
from pipeline.config_experiments import ExperimentsConfig
from pipeline.experiments.bench import Bench, ChosenStudy
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Volume

_FRESH = count(1)


def _pooled(values, shape):
    return {2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}[len(shape)](values[:, None], shape)[:, 0]


def _of_each(request, maps):
    """Return one map a sample as raw maps of all targets."""
    return RawMaps(torch.stack([maps] * len(request.targets)))


def _edges(request):
    x = request.x.detach().float().mean(dim=1)
    steps = [torch.diff(x, dim=axis, append=x.narrow(axis, -1, 1)).abs() for axis in range(1, x.ndim)]
    return _pooled(sum(steps), tuple(request.A.shape[2:]))


def edge_picture(request):
    return _of_each(request, _edges(request))


def centre_blob(request):
    shape = tuple(request.A.shape[2:])
    axes = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in shape), indexing="ij")
    blob = torch.exp(-sum(axis**2 for axis in axes) * 2)
    return _of_each(request, torch.stack([blob] * len(request.x)))


def fixed_noise(request):
    """The same noise for the same picture, whatever the weights."""
    shape = tuple(request.A.shape[2:])
    seeds = [int(abs(float(x.double().flatten() @ torch.arange(x.numel()).double())) * 1e3) % 2**31 for x in request.x]
    return _of_each(
        request, torch.stack([torch.rand(shape, generator=torch.Generator().manual_seed(s)) for s in seeds])
    )


def fresh_noise(request):
    shape = tuple(request.A.shape[2:])
    return _of_each(
        request,
        torch.stack([torch.rand(shape, generator=torch.Generator().manual_seed(next(_FRESH))) for _ in request.x]),
    )


def _ranks(maps):
    return maps.flatten(1).argsort(dim=1).argsort(dim=1).view(maps.shape).float()


def edge_mix(request):
    """Three quarters of the rank of the edge map, a quarter of Grad-CAM's."""
    own = gradcam(request.A, request.gradients()[0]).clamp(min=0)
    return _of_each(request, 0.75 * _ranks(_edges(request)) + 0.25 * _ranks(own))


def broken(request):
    raise ValueError("this map cannot be computed")


def inverted(request):
    return _of_each(request, -gradcam(request.A, request.gradients()[0]).clamp(min=0))


CONTROLS = {
    function.__name__: function
    for function in (edge_picture, centre_blob, fixed_noise, fresh_noise, edge_mix, broken, inverted)
}


def register(monkeypatch, **forwards) -> None:
    """Make the controls methods as long as a test lasts; ``forwards`` of those that claim to cost more."""

    def costing(images):
        return lambda _work, _given: images

    for name, function in CONTROLS.items():
        entry = Method(
            name, name, "no paper", "none", "a control", signed=True, rectified=False, at="layer", cost="none",
            backward=True, is_formula=False, function=function,
            forwards=costing(forwards.get(name, 0)),
        )  # fmt: skip
        monkeypatch.setitem(METHODS, name, entry)


class SmallNet(nn.Module):
    """Two blocks with BatchNorm, mean pooling and a head, 2D or 3D."""

    def __init__(self, axes: int = 2, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if axes == 2 else (nn.Conv3d, nn.BatchNorm3d)
        self.trunk = nn.Sequential(
            conv(1, 8, 3, padding=1), norm(8), nn.ReLU(), conv(8, 12, 3, stride=2, padding=1), norm(12), nn.ReLU()
        )
        self.head = nn.Linear(12, 2)
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, norm):
                    module.running_mean.uniform_(-0.2, 0.2)
                    module.running_var.uniform_(0.5, 2)
                    module.weight.uniform_(0.5, 2)

    def forward(self, x):
        return self.head(self.trunk(x).flatten(2).mean(dim=2))


@dataclass(frozen=True)
class PlantedBench(Bench):
    """A bench whose studies are given."""

    planted: tuple[ChosenStudy, ...] = field(default=())

    def studies(self) -> Iterator[ChosenStudy]:
        yield from self.planted


def pictures(number: int = 8, axes: int = 2, size: int = 32) -> tuple[ChosenStudy, ...]:
    """Return studies with a bright blob at another place each, among dark ones and noise."""
    studies = []
    for study in range(number):
        random = np.random.default_rng(study)
        x = random.normal(0, 0.05, (size,) * axes)
        for sign in (1, 1, -1, -1):
            corner = random.integers(0, size - 6, axes)
            x[tuple(slice(start, start + 6) for start in corner)] += sign * random.uniform(0.5, 1)
        array = x.astype(np.float32)
        grid = Geometry((size,) * axes + (1,) * (3 - axes), np.eye(4))
        image = Volume(array.reshape(grid.shape), grid)
        studies.append(
            ChosenStudy(
                f"S-{study}", f"P-{study}", torch.from_numpy(array)[None], "lesion", 1, ("lesion",), image, (), grid
            )
        )
    return tuple(studies)


def bench_of(auditor, network, methods, family="sanity", studies=None, layer="trunk.5", **settings):
    """Return a bench of an opened auditor with another network, these methods and planted pictures."""
    config = auditor.config
    explain = config.explain.model_copy(update={"methods": tuple(methods)})
    experiments = ExperimentsConfig.model_validate({family: settings})
    config = config.model_copy(update={"explain": explain, "experiments": experiments})
    loaded = replace(auditor.loaded, network=network.eval())
    changed = replace(auditor, config=config, model=loaded, layers=(layer,), one_by_one=False)
    given = pictures() if studies is None else studies
    cells = tuple(size // 2 for size in given[0].x.shape[1:]) if given else (16, 16)
    return PlantedBench(changed, family, (), cells, planted=given)
