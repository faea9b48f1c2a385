"""Which default of ``overlap.align`` the evidence is for: ``python -m tests.benchmarks.maps.align_default``.

Small networks of the common kinds learn to tell pictures with a planted blob from pictures without. The blob is their
only way to, so their Grad-CAM maps should peak on it: in which of both ways do they, drawn as if cells tiled the
picture (``grid``), or moved by the measured shift (``receptive_field``)? Prints a line for each network and layer.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from monai.networks.nets import DenseNet, ResNet
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor, nn

from cam import explain
from cam.layers.alignment import cell_shift

SIDE, WIDTH = 96, 4.0
"""Pixels of a picture's side, and the blob's standard deviation; its mask reaches two of them far."""
TRAINED, HELD_OUT, BATCH = 140, 80, 24
LEARNT = 0.9
"""The accuracy from which on a map can be expected to show what was learnt."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LayerOutcome:
    """Of one layer of one network: the measured shift, in pixels, and where its maps peak in both ways."""

    shift: tuple[float, ...]
    accuracy: float
    hits: tuple[float, float]
    pixels_off: tuple[float, float]


def pictures(generator: np.random.Generator, count: int) -> tuple[Tensor, Tensor, Floats]:
    """Return pictures of smooth noise (count, 1, side, side), whether each has a blob, and where (count, 2)."""
    noise = generator.normal(0, 0.5, (count, SIDE, SIDE))
    places = generator.uniform(2 * WIDTH, SIDE - 1 - 2 * WIDTH, (count, 2))
    has = np.arange(count) % 2 == 1
    rows, columns = np.indices((SIDE, SIDE))
    away = (rows - places[:, :1, None]) ** 2 + (columns - places[:, 1:, None]) ** 2
    noise += has[:, None, None] * 2.0 * np.exp(-away / (2 * WIDTH**2))
    return torch.from_numpy(noise[:, None]).float(), torch.from_numpy(has).long(), places


def block(before: int, after: int, **options: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, **options), nn.BatchNorm2d(after), nn.ReLU()]  # type: ignore[arg-type]


def headed(parts: list[nn.Module], width: int) -> nn.Module:
    return nn.Sequential(nn.Sequential(*parts), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 2))


def strided() -> nn.Module:
    steps = pairwise((1, 16, 32, 48, 64))
    return headed([part for step in steps for part in block(*step, kernel_size=3, stride=2, padding=1)], 64)


def pooled() -> nn.Module:
    parts: list[nn.Module] = []
    for step in pairwise((1, 16, 32, 48, 64)):
        parts += [*block(*step, kernel_size=3, padding=1), nn.MaxPool2d(2)]
    return headed(parts, 64)


def patched() -> nn.Module:
    parts = block(1, 32, kernel_size=4, stride=4)
    for _ in range(2):
        parts += [nn.Conv2d(32, 32, 7, padding=3, groups=32), *block(32, 32, kernel_size=1)]
    return headed([*parts, *block(32, 64, kernel_size=2, stride=2)], 64)


def residual() -> nn.Module:
    return ResNet(
        "basic", [1, 1, 1, 1], [16, 24, 32, 48], spatial_dims=2, n_input_channels=1, conv1_t_stride=2, num_classes=2
    )


def dense() -> nn.Module:
    return DenseNet(2, 1, 2, init_features=16, growth_rate=8, block_config=(2, 2, 2, 2))


NETWORKS: Mapping[str, tuple[Callable[[], nn.Module], tuple[str, ...]]] = {
    "ResNet, stride 16 and 32": (residual, ("layer3", "layer4")),
    "DenseNet, stride 32": (dense, ("features.norm5",)),
    "strided convolutions, stride 16": (strided, ("0",)),
    "pooled convolutions, stride 16": (pooled, ("0",)),
    "patches, stride 8": (patched, ("0",)),
}


def trained(build: Callable[[], nn.Module], generator: np.random.Generator, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = build().train()
    learner = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    for _ in range(TRAINED):
        x, label, _ = pictures(generator, BATCH)
        learner.zero_grad()
        nn.functional.cross_entropy(model(x), label).backward()
        learner.step()
    return model.eval()


def outcome_of(model: nn.Module, layer: str, generator: np.random.Generator) -> LayerOutcome:
    x, label, places = pictures(generator, HELD_OUT)
    with torch.no_grad():
        accuracy = float((model(x).argmax(1) == label).float().mean())
    shift = cell_shift(model, layer, torch.randn(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)))
    assert shift is not None
    is_lesion = label.numpy() == 1
    (values,) = explain(model, x[is_lesion], target=1, methods="gradcam", layers=layer, rectify=False).maps.values()
    off = np.array(
        [
            [away(heatmap, place, by) for by in ((0.0, 0.0), shift)]
            for heatmap, place in zip(values.numpy(), places[is_lesion], strict=True)
        ]
    )
    hits = (off <= 2 * WIDTH).mean(axis=0)
    return LayerOutcome(shift, accuracy, (hits[0], hits[1]), tuple(np.median(off, axis=0)))


def away(values: Floats, place: Floats, shift: tuple[float, ...]) -> float:
    """Return how many pixels a map's peak lies from a place, its cells moved by a shift in pixels."""
    ratio = SIDE / values.shape[0]
    centres = np.stack(np.indices((SIDE, SIDE))).reshape(2, -1) - np.array(shift)[:, None]
    whole = map_coordinates(values, (centres + 0.5) / ratio - 0.5, order=1, mode="nearest")
    peak = np.unravel_index(int(np.argmax(whole)), (SIDE, SIDE))
    return float(np.hypot(*(np.array(peak) - place)))


def measured(seeds: int) -> Iterator[tuple[str, str, LayerOutcome]]:
    for name, (build, layers) in NETWORKS.items():
        for seed in range(seeds):
            generator = np.random.default_rng(seed)
            model = trained(build, generator, seed)
            for layer in layers:
                yield name, layer, outcome_of(model, layer, generator)


def main() -> None:
    """Print a line for each network, layer and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    for name, layer, of in measured(parser.parse_args().seeds):
        shift = ", ".join(f"{by:+.1f}" for by in of.shift)
        doubt = "" if of.accuracy >= LEARNT else " (has not learnt it)"
        print(
            f"{name:33} {layer:15} shift {shift:12} px; hits {of.hits[0]:.2f} on the grid, {of.hits[1]:.2f} moved; "
            f"median {of.pixels_off[0]:4.1f} and {of.pixels_off[1]:4.1f} px off; accuracy {of.accuracy:.2f}{doubt}",
            flush=True,
        )


if __name__ == "__main__":
    main()
