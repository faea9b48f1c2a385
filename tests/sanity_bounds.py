"""What the bounds of the family ``sanity`` meet on a DenseNet121: sound maps and controls, trained and untrained.

``python -m tests.sanity_bounds --axes 2`` trains MONAI's DenseNet121 for a few steps to tell a bright blob from a ring
among dark distractors, and runs the experiment that an audit runs on it, on its untrained self and on a model that was
trained from another seed. It prints a table; docs/experiments.md quotes it.
"""

import argparse
import copy
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.networks.nets import DenseNet121
from torch import nn

from pipeline.config_experiments import SanityConfig
from pipeline.evidence.sanity.rules import sanity_findings
from pipeline.experiments.bench import ChosenStudy
from pipeline.experiments.sanity import sanity
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Volume
from tests.pipeline.experiments.controls import bench_of, register
from tests.pipeline.planted import plant
from tests.pipeline.steps import open_auditor

SOUND = ("gradcam", "hirescam", "layercam", "eigencam", "saliency", "guided_backprop")
CONTROLS = ("edge_picture", "centre_blob", "fixed_noise", "fresh_noise", "edge_mix")
LAYER = {2: "features.denseblock3", 3: "features.denseblock2"}
SIZE = {2: 128, 3: 48}
BATCH = {2: 16, 3: 8}


def picture(random: np.random.Generator, axes: int, size: int) -> tuple[np.ndarray, int]:
    """Return a picture with a bright blob (label 1) or ring (label 0) anywhere, dark ones beside it, and noise."""
    x = random.normal(0, 0.1, (size,) * axes)
    grid = np.stack(np.meshgrid(*(np.arange(size),) * axes, indexing="ij"))
    label, radius = int(random.integers(2)), size / 9
    for number in range(4):
        centre = random.uniform(radius, size - radius, axes).reshape(-1, *(1,) * axes)
        distance = np.sqrt(((grid - centre) ** 2).sum(axis=0))
        is_ring = label == 0 if number == 0 else bool(random.integers(2))
        shape = (np.abs(distance - radius * 0.8) < radius * 0.3) if is_ring else distance < radius * 0.85
        x += shape * (1.0 if number == 0 else -0.6)
    return x.astype(np.float32)[None], label


def batch(random: np.random.Generator, axes: int, size: int, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return so many pictures and labels."""
    drawn = [picture(random, axes, size) for _ in range(number)]
    return torch.from_numpy(np.stack([x for x, _ in drawn])), torch.tensor([label for _, label in drawn])


def trained(axes: int, seed: int, steps: int) -> tuple[nn.Module, nn.Module, float]:
    """Return a trained network, its untrained self and the accuracy on pictures that it has not seen."""
    torch.manual_seed(seed)
    network = DenseNet121(spatial_dims=axes, in_channels=1, out_channels=2)
    untrained = copy.deepcopy(network).eval()
    random = np.random.default_rng(seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    network.train()
    for _ in range(steps):
        x, labels = batch(random, axes, SIZE[axes], BATCH[axes])
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(x), labels).backward()
        optimiser.step()
    network.eval()
    x, labels = batch(np.random.default_rng(seed + 1000), axes, SIZE[axes], 64)
    with torch.no_grad():
        right = torch.cat([network(part).argmax(dim=1) for part in x.split(16)]) == labels
    network.zero_grad(set_to_none=True)
    return network, untrained, float(right.float().mean())


def studies(axes: int, number: int) -> tuple[ChosenStudy, ...]:
    """Return pictures that no network was trained on, each of its own label."""
    random, size = np.random.default_rng(77), SIZE[axes]
    grid = Geometry((size,) * axes + (1,) * (3 - axes), np.eye(4))
    chosen = []
    for study in range(number):
        x, label = picture(random, axes, size)
        names, image = ("clear", "lesion"), Volume(x[0].reshape(grid.shape), grid)
        about = (names[label], label, (names[label],), image, (), grid)
        chosen.append(ChosenStudy(f"S-{study}", f"P-{study}", torch.from_numpy(x), *about))
    return tuple(chosen)


def lines(auditor, network: nn.Module, axes: int, title: str) -> list[str]:
    """Return a table row for each map: what a check found, and its answer."""
    bench = bench_of(auditor, network, (*SOUND, *CONTROLS), studies=studies(axes, 8), layer=LAYER[axes])
    findings = sanity_findings(sanity(bench), SanityConfig(), [f"S-{number}" for number in range(8)])
    figures = {(figure.method, figure.check): figure for figure in findings.figures}
    rows = []
    for method in (*SOUND, *CONTROLS):
        checks = [check for check in findings.checks if check.method == method]
        cells = ["-" if check.value is None else f"{check.value:.2f}" for check in checks]
        figure = figures.get((method, "weight_randomisation"))
        draws = f"{min(figure.by_draw):.2f} to {max(figure.by_draw):.2f}, {figure.empty} empty" if figure else ""
        failed = ", ".join(check.check for check in checks if check.answer == "NOT MET")
        rows.append(f"| {title} | {method} | {' | '.join(cells)} | {draws} | {failed or 'nothing'} |")
    return rows


def main() -> None:
    """Print the table of one number of axes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--axes", type=int, choices=(2, 3), default=2)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        register(patch)
        auditor = open_auditor(plant(Path(folder), 3))
        print("| model | map | twice | shuffled | re-drawn | by draw | fails |\n|---|---|---|---|---|---|---|")
        for seed in range(given.seeds):
            network, untrained, accuracy = trained(given.axes, seed, given.steps)
            for made, title in ((network, f"{given.axes}D trained ({accuracy:.2f})"), (untrained, "untrained")):
                print("\n".join(lines(auditor, made, given.axes, f"{title}, seed {seed}")), flush=True)


if __name__ == "__main__":
    main()
