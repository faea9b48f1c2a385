"""Which default of ``overlap.align`` the evidence is for: ``python -m tests.benchmarks.maps.align_default``.

Small networks of the common kinds learn to tell pictures and volumes with a planted blob from such without. The blob is
their only way to, so their Grad-CAM maps should peak on it: in which of both ways do they, drawn as if cells tiled the
image (``grid``), or moved by the measured shift (``receptive_field``)? Prints a row for each network and layer, with
blobs in the middle and beside the border apart, and the 95 % interval of the difference over networks trained anew.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from monai.networks.nets import BasicUNet, DenseNet, ResNet, ViT
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.stats import t
from torch import Tensor, nn

from cam import explain
from cam.layers.alignment import cell_shift

WIDTH = 3.0
"""The blob's standard deviation in pixels; its mask reaches two of them far."""
TRAINED, HELD_OUT, BATCH = 140, 80, 16
LEARNT = 0.9
"""The accuracy from which on a map can be expected to show what was learnt."""
HEAD = "| network, layer | size | learnt | shift, pixels | hits in the middle | at the border | moved less grid |"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NetworkKind:
    """A kind of network, the layer whose maps are looked at, and the size of the images that it learns from."""

    name: str
    build: Callable[[], nn.Module]
    layer: str
    shape: tuple[int, ...] = (64, 64)


@dataclass(frozen=True)
class LayerOutcome:
    """Of one trained network: the measured shift, in pixels, and (grid, moved) the rates of maps that peak on the blob.

    ``middle`` and ``border`` are of blobs in the middle third of each axis, and of blobs two widths or less from an end
    of one.
    """

    shift: tuple[float, ...]
    accuracy: float
    middle: Floats
    border: Floats

    @property
    def gain(self) -> float:
        """By how much the rate of hits is larger where maps are moved."""
        grid, moved = (self.middle + self.border) / 2
        return float(moved - grid)


def places_in(generator: np.random.Generator, count: int, shape: Sequence[int], zone: str) -> Floats:
    """Return (count, axes) the middles of blobs ``anywhere``, in the ``middle``, or beside the ``border``."""
    size = np.array(shape, dtype=np.float64)
    if zone == "middle":
        return generator.uniform(size / 3, 2 * size / 3, (count, len(shape)))
    places = generator.uniform(WIDTH, size - 1 - WIDTH, (count, len(shape)))
    if zone == "border":
        rows, axes = np.arange(count), generator.integers(len(shape), size=count)
        near = generator.uniform(WIDTH, 2 * WIDTH, count)
        places[rows, axes] = np.where(generator.random(count) < 0.5, near, size[axes] - 1 - near)
    return places


def images(
    generator: np.random.Generator, count: int, shape: Sequence[int], zone: str = "anywhere"
) -> tuple[Tensor, Tensor, Floats]:
    """Return noise (count, 1, *shape), whether each has a blob (every second one), and where (count, axes)."""
    noise = generator.normal(0, 0.5, (count, *shape))
    places = places_in(generator, count, shape, zone)
    has = np.arange(count) % 2 == 1
    away = np.zeros_like(noise)
    for axis, at in enumerate(np.indices(shape)):
        away += (at - places[:, axis].reshape(-1, *[1] * len(shape))) ** 2
    noise += has.reshape(-1, *[1] * len(shape)) * 2.0 * np.exp(-away / (2 * WIDTH**2))
    return torch.from_numpy(noise[:, None]).float(), torch.from_numpy(has).long(), places


def block(before: int, after: int, axes: int = 2, **options: int) -> list[nn.Module]:
    convolution, norm = (nn.Conv2d, nn.BatchNorm2d) if axes == 2 else (nn.Conv3d, nn.BatchNorm3d)
    return [convolution(before, after, **options), norm(after), nn.ReLU()]  # type: ignore[arg-type]


def headed(parts: Sequence[nn.Module], width: int, axes: int = 2) -> nn.Module:
    pool = nn.AdaptiveAvgPool2d(1) if axes == 2 else nn.AdaptiveAvgPool3d(1)
    return nn.Sequential(nn.Sequential(*parts), pool, nn.Flatten(), nn.Linear(width, 2))


def strided(axes: int = 2, padding: int = 1) -> nn.Module:
    """Each step halves; where it is padded on both sides, cells look towards lower indices than tiles do."""
    steps = pairwise((1, 12, 24, 48))
    return headed([p for step in steps for p in block(*step, axes, kernel_size=3, stride=2, padding=padding)], 48, axes)


def pooled() -> nn.Module:
    parts: list[nn.Module] = []
    for step in pairwise((1, 12, 24, 48)):
        parts += [*block(*step, kernel_size=3, padding=1), nn.MaxPool2d(2)]
    return headed(parts, 48)


def patched() -> nn.Module:
    parts = block(1, 24, kernel_size=4, stride=4)
    for _ in range(2):
        parts += [nn.Conv2d(24, 24, 7, padding=3, groups=24), *block(24, 24, kernel_size=1)]
    return headed([*parts, *block(24, 48, kernel_size=2, stride=2)], 48)


def residual() -> nn.Module:
    return ResNet("basic", [1, 1, 1, 1], [12, 16, 24, 32], 2, 1, conv1_t_stride=2, num_classes=2)


def dense() -> nn.Module:
    return DenseNet(2, 1, 2, init_features=16, growth_rate=8, block_config=(2, 2, 2))


class WayDownOfUNet(nn.Module):
    """The way down of a U-Net, with a head that classifies."""

    def __init__(self) -> None:
        """Take the encoder of MONAI's basic one."""
        super().__init__()
        net = BasicUNet(2, 1, 2, features=(8, 12, 24, 48, 48, 8), norm="batch")
        self.first, self.down = net.conv_0, nn.Sequential(net.down_1, net.down_2, net.down_3)
        self.head = headed([], 48)

    def forward(self, x: Tensor) -> Tensor:
        """Return (images, 2) logits."""
        logits: Tensor = self.head(self.down(self.first(x)))
        return logits


class PatchTransformer(nn.Module):
    """A vision transformer of 8 x 8 patches whose mean over patches is classified."""

    def __init__(self) -> None:
        """Take MONAI's, small."""
        super().__init__()
        self.vit = ViT(1, (64, 64), (8, 8), 48, 96, 2, 4, spatial_dims=2)
        self.head = nn.Linear(48, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (images, 2) logits."""
        logits: Tensor = self.head(self.vit(x)[0].mean(dim=1))
        return logits


CANDIDATES = (
    NetworkKind("ResNet, stride 16", residual, "layer3"),
    NetworkKind("ResNet, stride 32", residual, "layer4"),
    NetworkKind("strided and padded", strided, "0"),
    NetworkKind("the same, odd size", strided, "0", (67, 67)),
    NetworkKind("the same in 3D", lambda: strided(3), "0", (32, 32, 32)),
    NetworkKind("strided, unpadded", lambda: strided(padding=0), "0"),
    NetworkKind("pooled", pooled, "0"),
    NetworkKind("the same, odd size", pooled, "0", (67, 67)),
    NetworkKind("DenseNet", dense, "features.norm5"),
    NetworkKind("U-Net's encoder", WayDownOfUNet, "down.2"),
    NetworkKind("patches", patched, "0"),
    NetworkKind("vision transformer", PatchTransformer, "vit.blocks.1"),
)


def trained(candidate: NetworkKind, generator: np.random.Generator, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = candidate.build().train()
    learner = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    for _ in range(TRAINED):
        x, label, _ = images(generator, BATCH, candidate.shape)
        learner.zero_grad()
        nn.functional.cross_entropy(model(x), label).backward()
        learner.step()
    return model.eval()


def outcome_of(model: nn.Module, candidate: NetworkKind, generator: np.random.Generator) -> LayerOutcome:
    probe = torch.randn(1, 1, *candidate.shape, generator=torch.Generator().manual_seed(0))
    shift = cell_shift(model, candidate.layer, probe)
    assert shift is not None
    right, hits = list[float](), dict[str, Floats]()
    for zone in ("middle", "border"):
        x, label, places = images(generator, HELD_OUT, candidate.shape, zone)
        with torch.no_grad():
            right.append(float((model(x).argmax(1) == label).float().mean()))
        has = label.numpy() == 1
        (maps,) = explain(
            model, x[has], target=1, methods="gradcam", layers=candidate.layer, rectify=False
        ).maps.values()
        pairs = list(zip(maps.double().numpy(), places[has], strict=True))
        none = (0.0,) * len(shift)
        hits[zone] = np.array([np.mean([is_hit(*pair, candidate.shape, by) for pair in pairs]) for by in (none, shift)])
    return LayerOutcome(shift, float(np.mean(right)), hits["middle"], hits["border"])


def is_hit(values: Floats, place: Floats, shape: Sequence[int], shift: Sequence[float]) -> bool:
    """Return whether a map peaks within two widths of a place, its cells moved by a shift in pixels."""
    axes = len(shape)
    ratio = np.array(shape).reshape(-1, 1) / np.array(values.shape).reshape(-1, 1)
    centres = np.stack(np.indices(shape)).reshape(axes, -1) - np.array(shift)[:, None]
    whole = map_coordinates(values, (centres + 0.5) / ratio - 0.5, order=1, mode="nearest")
    peak = np.array(np.unravel_index(int(np.argmax(whole)), shape))
    return bool(np.linalg.norm(peak - place) <= 2 * WIDTH)


def measured(candidate: NetworkKind, seeds: int) -> Iterator[LayerOutcome]:
    for seed in range(seeds):
        generator = np.random.default_rng(seed)
        yield outcome_of(trained(candidate, generator, seed), candidate, generator)


def row_of(candidate: NetworkKind, outcomes: Sequence[LayerOutcome]) -> str:
    """Return a row of the table, of the networks that have learnt it; those that have not are counted."""
    learnt = [each for each in outcomes if each.accuracy >= LEARNT]
    size = " x ".join(map(str, candidate.shape))
    head = f"| {candidate.name}, {candidate.layer} | {size} | {len(learnt)} of {len(outcomes)}"
    if len(learnt) < 2:
        return f"{head} | | | | |"
    shift = ", ".join(f"{by:+.1f}" for by in np.mean([each.shift for each in learnt], axis=0))
    middle, border = (
        "{:.2f}, {:.2f}".format(*np.mean(rates, axis=0))
        for rates in ([each.middle for each in learnt], [each.border for each in learnt])
    )
    gains = np.array([each.gain for each in learnt])
    half = t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / len(gains) ** 0.5
    difference = f"{gains.mean():+.2f} ({gains.mean() - half:+.2f} to {gains.mean() + half:+.2f})"
    return f"{head} | {shift} | {middle} | {border} | {difference} |"


def main() -> None:
    """Print the table; ``grid, moved`` is the order of each pair of rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--only", default="", help="networks whose name holds this")
    given = parser.parse_args()
    print(f"{HEAD}\n|{'---|' * 7}", flush=True)
    for candidate in CANDIDATES:
        if given.only in candidate.name:
            print(row_of(candidate, list(measured(candidate, given.seeds))), flush=True)


if __name__ == "__main__":
    main()
